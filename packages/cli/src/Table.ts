/**
 * Rows of texts, in columns.
 */

type Row = ReadonlyArray<string>

/** The lines of a table; each column is as wide as its widest cell. */
export const lines = (header: Row, rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const all = [header, ...rows]
  const widths = header.map((_, column) => all.reduce((width, cells) => Math.max(width, cells[column]?.length ?? 0), 0))
  return all.map((cells) =>
    header
      .map((_, column) => (cells[column] ?? "").padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  )
}

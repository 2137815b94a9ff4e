/**
 * Cuts bytes into lines.
 */

const newline = 0x0a

/** A line without its end. Where the bytes are not UTF-8, `text` is what can be read of them. */
export interface Line {
  readonly number: number
  /** Whether the input ended before the line did. */
  readonly isCut: boolean
  readonly text: string
  readonly isUtf8: boolean
}

const strict = new TextDecoder("utf-8", { fatal: true })
const lenient = new TextDecoder("utf-8")

const decode = (bytes: Uint8Array): Pick<Line, "text" | "isUtf8"> => {
  try {
    return { text: strict.decode(bytes).replace(/\r$/, ""), isUtf8: true }
  } catch {
    return { text: lenient.decode(bytes), isUtf8: false }
  }
}

/**
 * A splitter for one input. Lines end with LF, or with CR LF; the last one may lack its end. They are numbered from 1,
 * empty ones included.
 */
export const splitter = () => {
  let rest: Array<Uint8Array> = []
  let number = 0

  const line = (end: Uint8Array, isCut = false): Line => {
    const bytes = rest.length === 0 ? end : Buffer.concat([...rest, end])
    rest = []
    number += 1
    return { number, isCut, ...decode(bytes) }
  }

  return {
    /** The lines that end within these bytes. */
    push: (bytes: Uint8Array): ReadonlyArray<Line> => {
      const lines: Array<Line> = []
      let start = 0
      for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
        lines.push(line(bytes.subarray(start, end)))
        start = end + 1
      }
      if (start < bytes.length) {
        rest.push(bytes.subarray(start))
      }
      return lines
    },

    /** The line that the input ended in, if it had no end of its own. */
    end: (): ReadonlyArray<Line> => (rest.length === 0 ? [] : [line(new Uint8Array(), true)])
  }
}

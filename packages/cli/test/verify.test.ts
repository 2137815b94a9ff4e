/**
 * What `verify` finds in ledgers that were changed behind its back.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { copyFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { makeEventful } from "./ledgers.ts"
import {
  assertFailed,
  assertWhole,
  folder,
  inferred,
  jsonLines,
  note,
  record,
  runFinish,
  runledger,
  runStart,
  text,
  texts
} from "./process.ts"

const whole = folder()

beforeAll(async () => {
  // More than two pages of one run, a fact a line, and then another thread.
  const { status } = await record(
    whole,
    jsonLines(runStart()) +
      texts(2500) +
      jsonLines(runFinish(), runStart("run-2", "thread-2"), runFinish("run-2", "thread-2")),
    "--exact"
  )
  assert.strictEqual(status, 0)
})

/** A copy of the ledger, changed. */
const broken = (change: string): string => {
  const cwd = folder()
  const path = join(cwd, "runledger.db")
  copyFileSync(join(whole, "runledger.db"), path)
  const database = new DatabaseSync(path)
  database.exec(change)
  database.close()
  return cwd
}

const shift = "UPDATE events SET thread_sequence = -thread_sequence"

describe.concurrent("verify", () => {
  it("says that a whole ledger is", async () => {
    await assertWhole(whole)
  })

  it.each([
    ["positions with gaps", "UPDATE events SET position = position + 100000 WHERE position > 1500"],
    [
      "facts that were pruned, and others among them that were kept",
      `DELETE FROM events WHERE position BETWEEN 3 AND 6 OR position BETWEEN 9 AND 1200;
       UPDATE threads SET floor = 1200 WHERE thread_id = 'thread-1'; UPDATE runs SET floor = 1200 WHERE run_id = 'run-1';
       UPDATE ledger SET floor = 1200`
    ],
    [
      "a thread and a run that were pruned whole",
      "DELETE FROM events WHERE position < 2503; UPDATE threads SET floor = 2502 WHERE id = 1; UPDATE runs SET floor = 2502 WHERE id = 1"
    ],
    [
      "a run of which the end was pruned",
      `DELETE FROM events WHERE position BETWEEN 2000 AND 2502;
       UPDATE threads SET floor = 2502 WHERE id = 1; UPDATE runs SET floor = 2502 WHERE id = 1`
    ],
    ["an unknown kind", "UPDATE names SET name = 'app.kind' WHERE name = 'TextDeltaObserved'"],
    ["a newer version", "UPDATE events SET schema_version = 2, payload = '{}' WHERE position = 3"],
    ["an erased payload", "UPDATE events SET flags = flags | 256, payload = 'null' WHERE position IN (1, 3, 2502)"]
  ])("finds no fault in %s", async (_, change) => {
    await assertWhole(broken(change))
  })

  it("finds no fault in a ledger with a past", async () => {
    const cwd = folder()
    await makeEventful(join(cwd, "runledger.db"))
    await assertWhole(cwd)
  })

  it("finds no fault in runs that were interrupted and went on, and the end of one when it is missing", async () => {
    const cwd = folder()
    const run = ["--thread", "thread-1", "--run", "run-1"]
    await record(cwd, jsonLines(text("so f")), ...run)
    await record(cwd, jsonLines(text("ar"), runStart("other"), note("1")), ...run)
    await record(cwd, jsonLines(runStart(), text("?"), inferred), ...run)
    await assertWhole(cwd)
    const path = join(cwd, "runledger.db")
    using database = new DatabaseSync(path)
    database.exec("DELETE FROM events WHERE position = (SELECT max(position) FROM events)")
    const ended = await runledger(cwd, "verify")
    assertFailed(ended, 1, /, 1 fault\n$/)
    assert.strictEqual(ended.stdout, "run run-1: it is listed as done, and running by its facts\n")
  })

  it.each<readonly [string, string, ReadonlyArray<string | RegExp>]>([
    [
      "a hole above what was pruned",
      `DELETE FROM events WHERE position BETWEEN 3 AND 11;
       UPDATE threads SET floor = 10 WHERE thread_id = 'thread-1'; UPDATE runs SET floor = 10 WHERE run_id = 'run-1'`,
      [
        "position 12: thread thread-1: expected sequence 3, found 12",
        "position 12: run run-1: expected sequence 3, found 12"
      ]
    ],
    [
      "facts in another order below what was pruned",
      `UPDATE threads SET floor = 100; ${shift} WHERE position IN (4, 5);
       UPDATE events SET thread_sequence = 9 - position WHERE position IN (4, 5)`,
      ["position 5: thread thread-1: expected sequence 6, found 4"]
    ],
    [
      "a row that is missing",
      "DELETE FROM events WHERE position = 1500",
      [
        "position 1501: thread thread-1: expected sequence 1500, found 1501",
        "position 1501: run run-1: expected sequence 1500, found 1501"
      ]
    ],
    [
      "the last row of a run that is missing",
      "DELETE FROM events WHERE position = 2502",
      ["run run-1: it is listed as done, and running by its facts"]
    ],
    [
      "a hole in a thread",
      "UPDATE events SET thread_sequence = 9999 WHERE position = 2502",
      ["position 2502: thread thread-1: expected sequence 2502, found 9999"]
    ],
    [
      "a sequence that is there twice",
      "DROP INDEX events_run; UPDATE events SET run_sequence = 7 WHERE position = 8",
      ["position 8: run run-1: expected sequence 8, found 7", "position 9: run run-1: expected sequence 8, found 9"]
    ],
    [
      "facts in another order than their thread's",
      `${shift} WHERE position IN (4, 5); UPDATE events SET thread_sequence = 9 - position WHERE position IN (4, 5)`,
      [
        "position 4: thread thread-1: expected sequence 4, found 5",
        "position 5: thread thread-1: expected sequence 6, found 4",
        "position 6: thread thread-1: expected sequence 5, found 6"
      ]
    ],
    [
      "a payload that is no JSON",
      "UPDATE events SET payload = '{\"_tag\":' WHERE position = 1200",
      [
        /^the ledger .*runledger\.db is damaged: the payload of the fact at position 1200 is no JSON; restore it from/,
        "position 1201: thread thread-1: expected sequence 1200, found 1201",
        "position 1201: run run-1: expected sequence 1200, found 1201"
      ]
    ],
    [
      "two of them, one after a hole, the other at the end",
      "DELETE FROM events WHERE position IN (2490, 2491); UPDATE events SET payload = '' WHERE position IN (2492, 2504)",
      [
        /the payload of the fact at position 2492 is no JSON/,
        "position 2493: thread thread-1: expected sequence 2490, found 2493",
        "position 2493: run run-1: expected sequence 2490, found 2493",
        /the payload of the fact at position 2504 is no JSON/
      ]
    ],
    [
      "a payload of another shape",
      'UPDATE events SET payload = \'{"_tag":"TextDelta","delta":1}\' WHERE position = 3',
      ['position 3: the payload of TextDeltaObserved is not one: Expected string at ["delta"]']
    ],
    [
      "a payload that is no object",
      `UPDATE events SET payload = '"text"' WHERE position = 3`,
      ["position 3: the payload of TextDeltaObserved is not one: Expected object"]
    ],
    [
      "a kind that nothing names",
      "UPDATE events SET kind = 99 WHERE position = 2504",
      [/the fact at position 2504 has a kind, an origin or flags \(\d+\) that nothing explains/]
    ],
    [
      "a run that is gone",
      "DELETE FROM runs WHERE run_id = 'run-2'",
      [/the fact at position 2503 is in a thread or a run/, /the fact at position 2504 is in a thread or a run/]
    ],
    [
      "positions out of reach",
      "UPDATE events SET position = -position WHERE position > 2502",
      ["2 more facts could not be reached"]
    ],
    [
      "a hole too long to step through, and what cannot be read behind it",
      "UPDATE events SET position = 900000000000000, payload = '' WHERE position = 2504",
      [/the payload of the fact at position 900000000000000 is no JSON/]
    ]
  ])("finds %s", async (_, change, faults) => {
    const cwd = broken(change)
    const ended = await runledger(cwd, "verify")
    const found = ended.stdout.trimEnd().split("\n")
    for (const [index, fault] of faults.entries()) {
      typeof fault === "string" ? assert.strictEqual(found[index], fault) : assert.match(found[index] ?? "", fault)
    }
    assert.lengthOf(found, faults.length)
    assertFailed(ended, 1, new RegExp(`^runledger: [\\d,]+ facts in \\./runledger\\.db, ${faults.length} faults?\n$`))
  })

  it("a ledger that has lost a page of its file is damaged to every reader", async () => {
    const cwd = broken("DROP TABLE names")
    for (const args of [["verify"], ["runs"], ["export", "--all"]]) {
      const { status, stderr } = await runledger(cwd, ...args)
      assert.include([0, 1, 3], status)
      assert.notMatch(stderr, /\n {4}at /)
    }
  })
})

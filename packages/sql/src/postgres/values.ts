/**
 * How values go to PostgreSQL and come back: every integer is an `int8` and a JavaScript number, whatever its size, so
 * that a statement is prepared once.
 */
import { PgTypes } from "@effect/sql-pg"
import { StagedEvent } from "@runledger/core"
import { Result } from "effect"

const high = 2 ** 32

const readInt8 = (bytes: Uint8Array, offset: number): Result.Result<number> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, 8)
  return Result.succeed(view.getInt32(0) * high + view.getUint32(4))
}

/** An `int8` as a number: the store keeps none that is not safe. */
const int8: PgTypes.Codec<number | bigint> = {
  encode: (value) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64BE(BigInt(value))
    return Result.succeed(bytes)
  },
  decode: (bytes) => readInt8(bytes, 0),
  read: readInt8,
  write: (sink, value) => {
    const number = Number(value)
    sink.int32(Math.floor(number / high))
    sink.int32(number | 0)
    return Result.void
  }
}

/** The types of a connection. */
export const types = PgTypes.makeRegistry()
types.register(PgTypes.OID.int8, int8, { arrayOid: PgTypes.OID.int8Array })

const readBigint = (bytes: Uint8Array, offset: number): Result.Result<bigint> =>
  Result.succeed(new DataView(bytes.buffer, bytes.byteOffset + offset, 8).getBigInt64(0))

/** An `int8` as the bigint that it is to an app, which takes the numbers of the store as well. */
const appInt8: PgTypes.Codec<number | bigint> = {
  encode: int8.encode,
  decode: (bytes) => readBigint(bytes, 0),
  read: readBigint,
  write: (sink, value) => {
    sink.bigInt64(BigInt(value))
    return Result.void
  }
}

/** The types of an app's connection: those of `@effect/sql-pg`, on which the store can append too. */
export const appTypes = PgTypes.makeRegistry()
appTypes.register(PgTypes.OID.int8, appInt8, { arrayOid: PgTypes.OID.int8Array })

/** A value from an app's connection as the store knows it. */
export const fromApp = (value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value)

/** An integer as a parameter, NULL too, so that the statement is the same one. */
export const integer = (value: number | null): PgTypes.Parameter => PgTypes.int8(value === null ? null : BigInt(value))

const arrayOf =
  <A>(oid: number) =>
  (values: ReadonlyArray<A>): PgTypes.Parameter =>
    Result.getOrThrow(PgTypes.array(values, oid, types))

/** Arrays as parameters, for `unnest`. */
export const integers = arrayOf<number | null>(PgTypes.OID.int8)
export const texts = arrayOf<string | null>(PgTypes.OID.text)
export const uuids = arrayOf<string>(PgTypes.OID.uuid)

/**
 * A value as a parameter. A text that PostgreSQL cannot hold becomes NULL, which is equal to nothing: such a thread or
 * run does not exist.
 */
export const param = (value: unknown): unknown => {
  if (typeof value === "number" && Number.isSafeInteger(value)) {
    return integer(value)
  }
  return typeof value === "string" && !StagedEvent.isStorable(value) ? null : value
}

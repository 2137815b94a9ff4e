/**
 * Derives the seed's snake_case form of a struct from its native schema.
 */
import { Option, Schema, SchemaAST, SchemaGetter } from "effect"

const renamed: { readonly [key: string]: string } = { _tag: "event_type", kind: "event_kind" }

const snakeCase = (key: string): string => renamed[key] ?? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** What is absent natively may be null or absent in the wire form, and is left out when written. */
export const nullish = <T>(inner: Schema.Codec<T, unknown>) =>
  Schema.optionalKey(Schema.NullOr(inner)).pipe(
    Schema.decodeTo(Schema.optionalKey(Schema.toType(inner)), {
      decode: SchemaGetter.transformOptional((read: Option.Option<T | null>) =>
        Option.filter(read, (value) => value !== null)
      ),
      encode: SchemaGetter.transformOptional((written: Option.Option<T>) =>
        Option.filter(written, (value) => value !== null)
      )
    })
  )

/** A value that is left out when written if it is the default, and the default when it is absent. */
export const omittedWhen = <T>(
  inner: Schema.Codec<T, unknown>,
  isDefault: (value: T) => boolean,
  value: T
): Schema.Constraint =>
  Schema.optionalKey(inner).pipe(
    Schema.decodeTo(Schema.toType(inner), {
      decode: SchemaGetter.transformOptional((read: Option.Option<T>) => Option.orElseSome(read, () => value)),
      encode: SchemaGetter.transformOptional((written: Option.Option<T>) =>
        Option.filter(written, (known) => !isDefault(known))
      )
    })
  )

interface AnyStruct {
  readonly Type: unknown
  readonly fields: Schema.Struct.Fields
}

/** The wire codec of a struct: keys renamed, optional ones nullish, single fields replaced by codecs of their own. */
export const snakeCased = <S extends AnyStruct>(
  struct: S,
  replaced: { readonly [Key in keyof S["fields"]]?: Schema.Constraint } = {}
): Schema.Codec<S["Type"], unknown> => {
  const fields: Record<string, Schema.Constraint> = {}
  const keys: Record<string, string> = {}
  for (const [key, field] of Object.entries(struct.fields)) {
    const inner = replaced[key] ?? field
    fields[key] = SchemaAST.isOptional(field.ast) && replaced[key] === undefined ? nullish(innerOf(field)) : inner
    keys[key] = snakeCase(key)
  }
  return Schema.Struct(fields).pipe(Schema.encodeKeys(keys)) as unknown as Schema.Codec<S["Type"], unknown>
}

const innerOf = (field: Schema.Constraint): Schema.Codec<unknown, unknown> =>
  (field as unknown as { readonly schema: Schema.Codec<unknown, unknown> }).schema

/**
 * Foreign wire formats to and from the native vocabulary.
 *
 * @since 0.1.0
 */
export * as Awaken from "./awaken/index.ts"
export * as DecodeError from "./DecodeError.ts"
export * as JsonText from "./JsonText.ts"
export * as Native from "./native.ts"

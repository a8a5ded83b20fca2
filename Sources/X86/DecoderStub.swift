// Temporary, so that the rest compiles: delete this file when the real table lands.
extension Mnemonic { public init?(_ n: String) { return nil }
 public var name: String { "" } }
public enum Decoder { public static func decode(_ b: UnsafeRawBufferPointer, mode: CodeMode) throws(DecodeError) -> Instruction { throw .invalid } }

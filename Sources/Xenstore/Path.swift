/// Paths of the store: absolute (`/local/domain/1/name`), relative to the caller's own directory (`name`), or special
/// (`@releaseDomain`). Legal characters are the letters, the digits and `-/_@`.
enum Path {
  /// The directory that a domain's relative paths start from.
  static func home(_ domain: DomainNumber) -> String { "/local/domain/\(domain)" }

  /// The absolute path that a caller means.
  /// - Throws: EINVAL where the path is malformed or too long.
  static func canonical(_ path: String, for domain: DomainNumber) throws(StoreError) -> String {
    let bytes = path.utf8
    guard let first = bytes.first else { throw .invalid }
    var before: UInt8 = 0
    for byte in bytes {
      guard isLegal(byte) else { throw .invalid }
      if byte == slash && before == slash { throw .invalid }
      before = byte
    }
    if first == slash {
      if bytes.count == 1 { return path }
      guard before != slash, bytes.count <= WireLimit.absolutePath else { throw .invalid }
      return path
    }
    guard first != UInt8(ascii: "@"), before != slash, bytes.count <= WireLimit.relativePath else { throw .invalid }
    return home(domain) + "/" + path
  }

  /// The directory that holds a node; the root holds itself.
  static func parent(_ path: String) -> String {
    guard let cut = path.utf8.lastIndex(of: slash), cut != path.utf8.startIndex else { return "/" }
    return String(path[..<cut])
  }

  static func name(_ path: String) -> String {
    guard let cut = path.utf8.lastIndex(of: slash) else { return path }
    return String(path[path.utf8.index(after: cut)...])
  }

  static func child(_ path: String, _ name: String) -> String { path == "/" ? "/" + name : path + "/" + name }

  /// Whether `path` is `ancestor` or lies below it.
  static func isWithin(_ path: String, _ ancestor: String) -> Bool {
    if ancestor == "/" { return path.utf8.first == slash }
    guard path.utf8.starts(with: ancestor.utf8) else { return false }
    let count = ancestor.utf8.count
    if path.utf8.count == count { return true }
    return path.utf8[path.utf8.index(path.utf8.startIndex, offsetBy: count)] == slash
  }

  private static let slash = UInt8(ascii: "/")

  private static func isLegal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "-"), slash, UInt8(ascii: "_"), UInt8(ascii: "@"): true
    default: false
    }
  }
}

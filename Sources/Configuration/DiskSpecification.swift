/// A disk, in the syntax of xl-disk-configuration(5): `target,format,vdev,access` by position, or `key=value` pairs.
public struct DiskSpecification: Sendable, Equatable {
  public enum Format: String, Sendable { case raw, qcow2 }

  /// Path of the image; empty for a CD-ROM drive without a medium.
  public var target = ""
  public var format = Format.raw
  /// "xvda", "hda", "sda", "xvda1", or a number as text.
  public var device = ""
  public var readOnly = false
  public var isCDROM = false
  /// Discards requests reach the image.
  public var discard = true

  public init() {}

  public init(parsing text: String) throws(ConfigurationError) {
    var positional = 0
    var wantsDevice = true
    let fields = text.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmed }
    for (index, field) in fields.enumerated() {
      if let equals = field.firstIndex(of: "=") {
        let key = field[..<equals].trimmed
        if key == "target" {
          // The target may hold commas and is always last.
          target = String(fields[index...].joined(separator: ",").dropFirst("target=".count))
          break
        }
        try set(key, field[field.index(after: equals)...].trimmed)
        continue
      }
      switch field {
      case "cdrom", "devtype=cdrom":
        isCDROM = true
        readOnly = true
        continue
      case "discard": discard = true; continue
      case "no-discard": discard = false; continue
      case "direct-io-safe": continue
      default: break
      }
      switch positional {
      case 0: target = Self.withoutOldPrefix(field, &format)
      case 1: if !field.isEmpty { try set("format", field) }
      case 2: device = field
      case 3: if !field.isEmpty { try set("access", field) }
      default: throw ConfigurationError(message: "disk '\(text)': too many fields at '\(field)'")
      }
      positional += 1
    }
    if device.hasSuffix(":cdrom") {
      device = String(device.dropLast(6))
      isCDROM = true
      readOnly = true
    }
    if device.hasSuffix(":disk") { device = String(device.dropLast(5)) }
    wantsDevice = device.isEmpty
    if wantsDevice { throw ConfigurationError(message: "disk '\(text)': which device? Say for example '\(text),raw,xvda,rw'") }
    guard virtualDevice != nil else { throw ConfigurationError(message: "disk '\(text)': no such device: '\(device)'") }
    if target.isEmpty && !isCDROM { throw ConfigurationError(message: "disk '\(text)': no image is named") }
  }

  private mutating func set(_ key: String, _ value: String) throws(ConfigurationError) {
    switch key {
    case "format":
      guard let format = Format(rawValue: value == "aio" ? "raw" : value) else {
        throw ConfigurationError(message: "disk format '\(value)' is none of raw, qcow2")
      }
      self.format = format
    case "vdev": device = value
    case "access":
      switch value {
      case "r", "ro": readOnly = true
      case "w", "rw": readOnly = false
      default: throw ConfigurationError(message: "disk access '\(value)' is none of r, ro, w, rw")
      }
    case "devtype":
      guard value == "cdrom" || value == "disk" else { throw ConfigurationError(message: "disk devtype '\(value)' is none of disk, cdrom") }
      isCDROM = value == "cdrom"
      if isCDROM { readOnly = true }
    case "backendtype":
      guard ["phy", "qdisk", "tap"].contains(value) else { throw ConfigurationError(message: "disk backendtype '\(value)' is unknown") }
    case "backend":
      guard value == "0" || value == "Domain-0" else {
        throw ConfigurationError(message: "disk backend '\(value)': Paravane itself is the only back end")
      }
    default: throw ConfigurationError(message: "disk: unknown key '\(key)'")
    }
  }

  /// "file:x", "phy:x", "qcow2:x" and the like, which xl calls deprecated.
  private static func withoutOldPrefix(_ text: String, _ format: inout Format) -> String {
    for (prefix, kind) in [("file:", Format.raw), ("phy:", .raw), ("raw:", .raw), ("aio:", .raw), ("qcow2:", .qcow2)]
    where text.hasPrefix(prefix) {
      format = kind
      return String(text.dropFirst(prefix.count))
    }
    return text
  }

  /// The number by which a PV guest knows the device (xen-vbd-interface(7)); nil if the name is none.
  public var virtualDevice: UInt32? {
    if device.isDigits { return UInt32(device) }
    let letters: Substring
    let kind: String
    if device.hasPrefix("xvd") {
      kind = "xvd"
    } else if device.hasPrefix("hd") {
      kind = "hd"
    } else if device.hasPrefix("sd") {
      kind = "sd"
    } else {
      return nil
    }
    let rest = device.dropFirst(kind.count)
    letters = rest.prefix { $0 >= "a" && $0 <= "z" }
    let digits = rest.dropFirst(letters.count)
    guard !letters.isEmpty, letters.count <= 2 else { return nil }
    let partition: UInt32
    if digits.isEmpty {
      partition = 0
    } else {
      guard digits.isDigits, let number = UInt32(digits), number > 0 else { return nil }
      partition = number
    }
    var disk: UInt32 = 0
    for letter in letters.utf8 { disk = disk * 26 + UInt32(letter - 96) }
    disk -= 1
    switch kind {
    case "xvd":
      if disk < 16 && partition < 16 { return 202 << 8 | disk << 4 | partition }
      return disk < 1 << 20 && partition < 256 ? 1 << 28 | disk << 8 | partition : nil
    case "hd":
      guard disk < 4, partition < 64 else { return nil }
      return (disk < 2 ? 3 : 22) << 8 | (disk & 1) << 6 | partition
    default:
      guard disk < 16, partition < 16 else { return nil }
      return 8 << 8 | disk << 4 | partition
    }
  }
}

extension StringProtocol {
  /// Digits and nothing else: Swift's own conversions take a sign.
  var isDigits: Bool { !isEmpty && utf8.allSatisfy { $0 >= 48 && $0 <= 57 } }

  var trimmed: String {
    var slice = self[...]
    while let c = slice.first, c == " " || c == "\t" { slice = slice.dropFirst() }
    while let c = slice.last, c == " " || c == "\t" { slice = slice.dropLast() }
    return String(slice)
  }
}

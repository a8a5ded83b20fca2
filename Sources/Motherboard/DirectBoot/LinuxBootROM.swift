/// The option ROM that boots a kernel from the firmware configuration interface (Fixtures/firmware/linuxboot.S).
public enum LinuxBootROM {
  /// The file of the firmware configuration interface that SeaBIOS runs it from, and what names it in the boot order.
  public static let fileName = "genroms/paravane-linuxboot.bin"
  public static let bootPath = "/rom@genroms/paravane-linuxboot.bin"

  /// The ROM, with its size in units of 512 bytes and its checksums: the Plug and Play header's 32 bytes, and all bytes, add up to 0.
  public static var bytes: [UInt8] {
    var bytes: [UInt8] = []
    var high: UInt8?
    for character in code.utf8 {
      guard let digit = Character(UnicodeScalar(character)).hexDigitValue else { continue }
      if let first = high {
        bytes.append(first << 4 | UInt8(digit))
        high = nil
      } else {
        high = UInt8(digit)
      }
    }
    // One byte at least is left for the checksum.
    let size = (bytes.count / 512 + 1) * 512
    bytes.append(contentsOf: [UInt8](repeating: 0, count: size - bytes.count))
    bytes[2] = UInt8(size / 512)
    let header = Int(bytes[0x1A]) | Int(bytes[0x1B]) << 8
    bytes[header + 9] = 0 &- sum(bytes[header..<header + 32])
    bytes[size - 1] = 0 &- sum(bytes[...])
    return bytes
  }

  static func sum(_ bytes: ArraySlice<UInt8>) -> UInt8 { bytes.reduce(0, &+) }
}

import Foundation

/// A PC's BIOS in its flash chip, or another ROM, from a file of the host's.
public struct FirmwareImage: Sendable {
  public enum Failure: Error, Equatable, CustomStringConvertible {
    case cannotRead(path: String)
    case wrongSize(path: String, bytes: Int)
    case notOptionROM(path: String)

    public var description: String {
      switch self {
      case .cannotRead(let path): "cannot read the firmware \(path) (Debian's package seabios has it)"
      case .wrongSize(let path, let bytes):
        "the firmware \(path) has \(bytes) bytes; a BIOS has 64 KiB to 16 MiB, in whole 64 KiB"
      case .notOptionROM(let path): "\(path) is not an option ROM: it does not begin with 55 aa"
      }
    }
  }

  /// Where Debian's package `seabios` puts SeaBIOS, and its BIOS for the standard VGA.
  public static let standardBIOS = "/usr/share/seabios/bios-256k.bin"
  public static let standardVGABIOS = "/usr/share/seabios/vgabios-stdvga.bin"

  public let bytes: [UInt8]

  /// - Parameter bytes: 64 KiB to 16 MiB of flash, in whole 64 KiB; it ends at 4 GiB.
  public init?(bios bytes: [UInt8]) {
    guard Self.isBIOSSize(bytes.count) else { return nil }
    self.bytes = bytes
  }

  /// Reads a BIOS.
  public init(biosAt path: String = FirmwareImage.standardBIOS) throws(Failure) {
    bytes = try Self.read(path)
    guard Self.isBIOSSize(bytes.count) else { throw .wrongSize(path: path, bytes: bytes.count) }
  }

  private static func isBIOSSize(_ count: Int) -> Bool { count > 0 && count <= 16 << 20 && count % 0x10000 == 0 }

  /// Where the flash is.
  public var range: Range<UInt64> { (1 << 32) - UInt64(bytes.count)..<1 << 32 }

  /// The end of the flash as it shows below 1 MiB until it is shadowed: the last 128 KiB, at 0xe0000 (64 KiB at 0xf0000 of a smaller
  /// one).
  public var alias: (address: UInt64, bytes: ArraySlice<UInt8>) {
    let count = min(bytes.count, 0x20000)
    return (0x100000 - UInt64(count), bytes.suffix(count))
  }

  /// Reads an option ROM, for a PCI function's expansion ROM or a file of `genroms/`.
  public static func optionROM(at path: String = standardVGABIOS) throws(Failure) -> [UInt8] {
    let bytes = try read(path)
    guard bytes.starts(with: [0x55, 0xAA]) else { throw .notOptionROM(path: path) }
    return bytes
  }

  private static func read(_ path: String) throws(Failure) -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else { throw .cannotRead(path: path) }
    return [UInt8](data)
  }
}

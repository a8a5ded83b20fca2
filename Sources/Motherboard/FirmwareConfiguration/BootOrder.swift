/// What the BIOS tries to boot from, in order.
public struct BootOrder: Sendable, Equatable {
  /// A kind of device, by the letter that xl.cfg's `boot` has for it.
  public enum Kind: Character, Sendable, CaseIterable {
    case floppy = "a"
    case disk = "c"
    case cdrom = "d"
    case network = "n"

    /// As in the CMOS's boot order.
    public var number: UInt8 { nibble }
    var nibble: UInt8 {
      switch self {
      case .floppy: 1
      case .disk: 2
      case .cdrom: 3
      case .network: 4
      }
    }
  }

  /// A device that can be booted from.
  public enum Device: Sendable, Equatable {
    /// An IDE channel's (0, 1) drive (0: master, 1: slave).
    case ide(channel: Int, unit: Int, kind: Kind)
    /// A network card, by its slot on bus 0.
    case network(slot: Int)
    case floppy

    var kind: Kind {
      switch self {
      case .ide(_, _, let kind): kind
      case .network: .network
      case .floppy: .floppy
      }
    }

    /// The device's name in the form of Open Firmware (IEEE 1275) that SeaBIOS compares with.
    var path: String {
      switch self {
      case .ide(let channel, let unit, _): "/pci@i0cf8/ide@1,1/drive@\(channel)/disk@\(unit)"
      case .network(let slot): "/pci@i0cf8/ethernet@\(String(slot, radix: 16))"
      case .floppy: "/pci@i0cf8/isa@1/fdc@03f0/floppy@0"
      }
    }
  }

  public let kinds: [Kind]

  /// - Parameter letters: as in xl.cfg, "dc" for CD-ROM, then disk; nil for an unknown or repeated letter.
  public init?(letters: String) {
    var kinds: [Kind] = []
    for letter in letters {
      guard let kind = Kind(rawValue: letter), !kinds.contains(kind) else { return nil }
      kinds.append(kind)
    }
    self.kinds = kinds
  }

  /// The file `bootorder`: devices of each kind in the order given, and no others.
  ///
  /// - Parameter rom: an option ROM's name to be tried first.
  public func file(devices: [Device], first rom: String? = nil) -> [UInt8] {
    var lines = rom.map { [$0] } ?? []
    for kind in kinds { lines += devices.filter { $0.kind == kind }.map(\.path) }
    lines.append("HALT")
    return Array(lines.joined(separator: "\n").utf8) + [0]
  }

  /// The CMOS bytes 0x3d (first and second kind in low and high half) and 0x38 (third in the high half).
  public var cmos: (flag2: UInt8, flag1: UInt8) {
    func nibble(_ index: Int) -> UInt8 { kinds.indices.contains(index) ? kinds[index].nibble : 0 }
    return (nibble(0) | nibble(1) << 4, nibble(2) << 4)
  }
}

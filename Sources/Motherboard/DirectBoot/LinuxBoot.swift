/// A Linux kernel that the BIOS boots without a disk: its parts, where they go, and its setup header filled in as a boot loader does
/// (the kernel's Documentation/x86/boot.rst, the Linux/x86 boot protocol from 2.02 on).
public struct LinuxBoot: Sendable {
  public enum Failure: Error, Equatable, CustomStringConvertible {
    case notBzImage
    case oldProtocol(UInt16)
    case commandLineTooLong(bytes: Int, limit: Int)
    case memoryTooSmall(needed: UInt64)

    public var description: String {
      switch self {
      case .notBzImage: "the kernel is not a bzImage, which a BIOS could boot"
      case .oldProtocol(let version):
        "the kernel speaks version \(version >> 8).\(version & 0xFF) of the boot protocol; 2.2 with its code at 1 MiB is the oldest that works"
      case .commandLineTooLong(let bytes, let limit): "the command line has \(bytes) bytes; this kernel takes \(limit)"
      case .memoryTooSmall(let needed): "kernel and RAM disk need \((needed + (1 << 20) - 1) >> 20) MiB of memory below 3 GiB"
      }
    }
  }

  /// Real-mode setup code with the finished header.
  public let setup: [UInt8]
  /// The protected-mode part.
  public let kernel: [UInt8]
  public let ramdisk: [UInt8]
  /// Ends in 0.
  public let commandLine: [UInt8]
  /// Where the RAM disk goes; 0 without one.
  public let ramdiskAddress: UInt32

  public static let setupAddress: UInt32 = 0x10000
  public static let commandLineAddress: UInt32 = 0x20000
  public static let kernelAddress: UInt32 = 0x10_0000
  /// The setup code's heap and stack end here, from its start; the ROM sets SP to it.
  static let heapEnd = 0xE000
  /// Left at the end of low memory for what the BIOS puts there (ACPI tables).
  static let firmwareReserve: UInt64 = 1 << 20

  /// Offsets in the setup header.
  private enum Header {
    static let setupSectors = 0x1F1
    static let bootFlag = 0x1FE
    static let magic = 0x202
    static let version = 0x206
    static let loaderType = 0x210
    static let loadFlags = 0x211
    static let code32Start = 0x214
    static let ramdiskImage = 0x218
    static let ramdiskSize = 0x21C
    static let heapEndPointer = 0x224
    static let commandLinePointer = 0x228
    static let largestRamdiskAddress = 0x22C
    static let commandLineSize = 0x238
    static let preferredAddress = 0x258
    static let initSize = 0x260
    /// The first byte after what is read here.
    static let end = 0x264
  }

  /// Takes a bzImage apart.
  ///
  /// - Parameters:
  ///   - image: the file.
  ///   - ramdisk: empty for none.
  ///   - commandLine: without a terminating 0.
  ///   - memory: says where the RAM disk goes: as high in low memory as kernel and BIOS let it.
  public init(image: [UInt8], ramdisk: [UInt8], commandLine: String, memory: MemoryMap) throws(Failure) {
    func field(_ offset: Int, _ size: Int) -> UInt64 {
      (0..<size).reduce(0) { $0 | UInt64(image[offset + $1]) << UInt64($1 * 8) }
    }
    guard image.count >= Header.end, field(Header.bootFlag, 2) == 0xAA55, field(Header.magic, 4) == 0x5372_6448 else {
      throw .notBzImage
    }
    let version = UInt16(field(Header.version, 2))
    guard version >= 0x202, image[Header.loadFlags] & 1 != 0 else { throw .oldProtocol(version) }
    let sectors = image[Header.setupSectors] == 0 ? 4 : Int(image[Header.setupSectors])
    let setupSize = (sectors + 1) * 512
    guard setupSize <= image.count, setupSize >= Header.end, setupSize < Self.heapEnd - 0x400 else { throw .notBzImage }

    let line = Array(commandLine.utf8) + [0]
    let limit = version >= 0x206 ? Int(min(field(Header.commandLineSize, 4), 0xFFFF)) : 255
    guard line.count - 1 <= limit else { throw .commandLineTooLong(bytes: line.count - 1, limit: limit) }

    kernel = Array(image[setupSize...])
    self.ramdisk = ramdisk
    self.commandLine = line
    // The decompressor works in [preferred address, + init_size), or around 1 MiB before 2.10.
    let start = UInt64(Self.kernelAddress)
    var kernelEnd = start + UInt64(kernel.count)
    if version >= 0x20A {
      kernelEnd = max(kernelEnd, min(max(field(Header.preferredAddress, 8), start), 1 << 40) + field(Header.initSize, 4))
    }
    let size = (UInt64(ramdisk.count) + 0xFFF) & ~0xFFF
    let needed = kernelEnd + size + Self.firmwareReserve
    guard needed <= memory.low else { throw .memoryTooSmall(needed: needed) }
    let highest = version >= 0x203 ? field(Header.largestRamdiskAddress, 4) : 0x37FF_FFFF
    let end = min(memory.low - Self.firmwareReserve, highest + 1) & ~0xFFF
    guard ramdisk.isEmpty || end >= kernelEnd + size else { throw .memoryTooSmall(needed: needed) }
    ramdiskAddress = ramdisk.isEmpty ? 0 : UInt32(truncatingIfNeeded: end - size)

    var setup = Array(image[..<setupSize])
    func put(_ offset: Int, _ value: UInt32, _ size: Int) {
      for index in 0..<size { setup[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(index * 8)) }
    }
    // A boot loader without a number of its own; the heap may be used.
    put(Header.loaderType, 0xFF, 1)
    put(Header.loadFlags, UInt32(image[Header.loadFlags]) | 0x80, 1)
    put(Header.code32Start, Self.kernelAddress, 4)
    put(Header.ramdiskImage, ramdiskAddress, 4)
    put(Header.ramdiskSize, UInt32(clamping: ramdisk.count), 4)
    put(Header.heapEndPointer, UInt32(Self.heapEnd - 0x200), 2)
    put(Header.commandLinePointer, Self.commandLineAddress, 4)
    self.setup = setup
  }

  /// Offers the parts, and the ROM that fetches them.
  public func offer(in items: inout FirmwareItems) {
    typealias Key = FirmwareItems.Key
    func part(_ keys: (UInt16, UInt16, UInt16), _ address: UInt32, _ bytes: [UInt8]) {
      items.set(keys.0, address)
      items.set(keys.1, UInt32(clamping: bytes.count))
      items.set(keys.2, bytes)
    }
    part((Key.kernelAddress, Key.kernelSize, Key.kernelData), Self.kernelAddress, kernel)
    part((Key.ramdiskAddress, Key.ramdiskSize, Key.ramdiskData), ramdiskAddress, ramdisk)
    part((Key.commandLineAddress, Key.commandLineSize, Key.commandLineData), Self.commandLineAddress, commandLine)
    part((Key.setupAddress, Key.setupSize, Key.setupData), Self.setupAddress, setup)
    items.setFile(LinuxBootROM.fileName, LinuxBootROM.bytes)
  }
}

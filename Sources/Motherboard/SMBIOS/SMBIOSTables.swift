/// The description of the system for inventory (DMTF DSP0134, 2.8): what SeaBIOS copies, adding its own structure 0.
public struct SMBIOSTables: Sendable {
  /// The structures, ended by structure 127.
  public private(set) var structures: [UInt8] = []
  /// The entry point, its address field for SeaBIOS to fill in.
  public private(set) var entryPoint: [UInt8] = []

  public static let structuresFile = "etc/smbios/smbios-tables"
  public static let entryPointFile = "etc/smbios/smbios-anchor"

  private var count = 0
  private var largest = 0

  /// - Parameters:
  ///   - uuid: 16 bytes, in the order in which they are written.
  ///   - version: Paravane's own.
  public init(_ platform: PlatformDescription, uuid: [UInt8], version: String) {
    // The first three fields of a UUID are numbers, stored little-endian here.
    var identity = Array((uuid + [UInt8](repeating: 0, count: 16)).prefix(16))
    identity = identity[0..<4].reversed() + identity[4..<6].reversed() + identity[6..<8].reversed() + identity[8...]
    // 1, system: maker, product, version, serial number; UUID; woken by its power switch.
    add(1, 0x100, [1, 2, 3, 0] + identity + [6, 0, 0], ["Paravane", "PC", version])
    // 3, enclosure: "other", all states safe.
    add(3, 0x300, [1, 1, 2, 0, 0, 3, 3, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0], ["Paravane", version])
    for number in 0..<platform.processors {
      // 4, processor: central, in a socket without a cache; enabled.
      var body: [UInt8] = [1, 3, 1, 2]
      body += [UInt8](repeating: 0, count: 8) + [0, 0]
      body += [UInt8](repeating: 0, count: 6) + [0x41, 1]
      for _ in 0..<3 { body.append(littleEndian: UInt16.max) }
      // Serial number, asset, part; cores, enabled, threads; 64-bit capable; family.
      body += [0, 0, 0, 1, 1, 1, 4, 0, 1, 0]
      add(4, 0x400 + UInt16(number), body, ["CPU \(number)", "Paravane"])
    }
    let bytes = platform.memory.low + platform.memory.high
    // 16, memory array: on the board, system memory, no error correction; capacity in KiB; one device.
    var array: [UInt8] = [3, 3, 3]
    array.append(littleEndian: UInt32(clamping: min(bytes >> 10, 0x8000_0000)))
    array += [0xFE, 0xFF, 1, 0]
    array.append(littleEndian: bytes >> 10 >= 0x8000_0000 ? bytes : 0)
    add(16, 0x1000, array, [])
    // 17, memory device: in that array; sizes in MiB, beyond 32 GiB in the extended field.
    let megabytes = bytes >> 20
    var device: [UInt8] = [0, 0x10, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]
    device.append(littleEndian: UInt16(megabytes >= 0x7FFF ? 0x7FFF : megabytes))
    device += [9, 0, 1, 0, 7, 2, 0, 0, 0, 2, 0, 0, 0, 0]
    device.append(littleEndian: UInt32(clamping: megabytes >= 0x7FFF ? megabytes : 0))
    device += [0, 0]
    add(17, 0x1100, device, ["DIMM 0", "Paravane"])
    for (index, range) in platform.memory.ram.enumerated() {
      // 19, an address range of the array, in KiB.
      var body: [UInt8] = []
      let isLarge = range.upperBound >> 10 > UInt64(UInt32.max)
      body.append(littleEndian: isLarge ? UInt32.max : UInt32(truncatingIfNeeded: range.lowerBound >> 10))
      body.append(littleEndian: isLarge ? UInt32.max : UInt32(truncatingIfNeeded: (range.upperBound >> 10) - 1))
      body += [0, 0x10, 1]
      body.append(littleEndian: isLarge ? range.lowerBound : 0)
      body.append(littleEndian: isLarge ? range.upperBound - 1 : 0)
      add(19, 0x1300 + UInt16(index), body, [])
    }
    // 32, boot status: no errors.
    add(32, 0x2000, [0, 0, 0, 0, 0, 0, 0], [])
    add(127, 0x7F00, [], [])

    entryPoint.append("_SM_", padded: 4)
    entryPoint += [0, 0x1F, 2, 8]
    entryPoint.append(littleEndian: UInt16(clamping: largest))
    entryPoint += [0, 0, 0, 0, 0, 0]
    entryPoint.append("_DMI_", padded: 5)
    entryPoint.append(0)
    entryPoint.append(littleEndian: UInt16(clamping: structures.count))
    entryPoint.append(littleEndian: UInt32(0))
    entryPoint.append(littleEndian: UInt16(clamping: count))
    entryPoint.append(0x28)
    entryPoint[0x15] = 0 &- entryPoint[0x10...].reduce(0, &+)
    entryPoint[4] = 0 &- entryPoint.reduce(0, &+)
  }

  /// Offers them as files.
  public func offer(in items: inout FirmwareItems) {
    items.setFile(Self.structuresFile, structures)
    items.setFile(Self.entryPointFile, entryPoint)
  }

  private mutating func add(_ type: UInt8, _ handle: UInt16, _ body: [UInt8], _ strings: [String]) {
    var bytes = [type, UInt8(clamping: body.count + 4)]
    bytes.append(littleEndian: handle)
    bytes += body
    for string in strings { bytes += Array(string.utf8) + [0] }
    bytes += strings.isEmpty ? [0, 0] : [0]
    structures += bytes
    largest = max(largest, bytes.count)
    count += 1
  }
}

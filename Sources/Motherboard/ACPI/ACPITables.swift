/// The ACPI tables (ACPI 1.0b; HPET: IA-PC HPET 1.0a, section 3.2.4; WAET: Microsoft's specification 1.0) and the script by which
/// SeaBIOS places and links them (QEMU's docs/specs, `etc/table-loader`).
public struct ACPITables: Sendable {
  /// The file with all tables but the root pointer. Pointers are offsets into it until the script adds its address.
  public private(set) var tables: [UInt8] = []
  /// The root system description pointer.
  public private(set) var rootPointer: [UInt8] = []
  /// The script, in commands of 128 bytes.
  public private(set) var script: [UInt8] = []
  /// Where each table is in `tables`, by signature, in order.
  public private(set) var places: [(signature: String, range: Range<Int>)] = []

  public static let tablesFile = "etc/acpi/tables"
  public static let rootPointerFile = "etc/acpi/rsdp"
  public static let scriptFile = "etc/table-loader"

  private static let headerSize = 36
  private static let checksumOffset = 9
  private static let maker = "PARVNE"
  private static let model = "PARAVANE"
  private static let creator = "PRVN"
  private static let hpetAddress: UInt64 = 0xFED0_0000
  private static let localAPIC: UInt32 = 0xFEE0_0000
  private static let inputOutputAPIC: UInt32 = 0xFEC0_0000

  public init(_ platform: PlatformDescription) {
    script += Self.allocate(Self.rootPointerFile, alignment: 16, zone: 2) + Self.allocate(Self.tablesFile, alignment: 64, zone: 1)
    let facs = place("FACS", Self.facs)
    let dsdt = place("DSDT", Self.table("DSDT", platform.namespace))
    let fadt = place("FACP", Self.table("FACP", Self.fadt(facs: facs, dsdt: dsdt)))
    point(from: fadt + 36)
    point(from: fadt + 40)
    checksum(fadt)
    var described = [fadt, place("APIC", Self.table("APIC", Self.madt(platform.processors)))]
    if platform.hasHPET { described.append(place("HPET", Self.table("HPET", Self.hpet))) }
    // Flag 1: the power management timer needs no second look.
    described.append(place("WAET", Self.table("WAET", [2, 0, 0, 0])))
    var pointers: [UInt8] = []
    for table in described { pointers.append(littleEndian: UInt32(table)) }
    let root = place("RSDT", Self.table("RSDT", pointers))
    for index in described.indices { point(from: root + Self.headerSize + index * 4) }
    checksum(root)

    rootPointer.append("RSD PTR ", padded: 8)
    rootPointer.append(0)
    rootPointer.append(Self.maker, padded: 6)
    rootPointer.append(0)
    rootPointer.append(littleEndian: UInt32(root))
    script += Self.addPointer(in: Self.rootPointerFile, at: 16) + Self.addChecksum(in: Self.rootPointerFile, at: 8, over: 0..<20)
    script += [UInt8](repeating: 0, count: max(0, 4096 - script.count))
  }

  /// Offers them as files.
  public func offer(in items: inout FirmwareItems) {
    items.setFile(Self.tablesFile, tables)
    items.setFile(Self.rootPointerFile, rootPointer)
    items.setFile(Self.scriptFile, script)
  }

  private mutating func place(_ signature: String, _ bytes: [UInt8]) -> Int {
    tables += [UInt8](repeating: 0, count: -tables.count & 7)
    places.append((signature, tables.count..<tables.count + bytes.count))
    tables += bytes
    return places[places.count - 1].range.lowerBound
  }

  private mutating func point(from offset: Int) { script += Self.addPointer(in: Self.tablesFile, at: offset) }

  /// A table whose pointers change has its checksum made last.
  private mutating func checksum(_ table: Int) {
    guard let range = places.first(where: { $0.range.lowerBound == table })?.range else { return }
    tables[table + Self.checksumOffset] = 0
    script += Self.addChecksum(in: Self.tablesFile, at: table + Self.checksumOffset, over: range)
  }

  // MARK: - Script

  private static func command(_ code: UInt32, _ file: String, _ rest: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: code)
    bytes.append(file, padded: 56)
    bytes += rest
    return bytes + [UInt8](repeating: 0, count: 128 - bytes.count)
  }

  /// - Parameter zone: 1 high memory, 2 the BIOS segment.
  private static func allocate(_ file: String, alignment: UInt32, zone: UInt8) -> [UInt8] {
    var rest: [UInt8] = []
    rest.append(littleEndian: alignment)
    return command(1, file, rest + [zone])
  }

  private static func addPointer(in file: String, at offset: Int) -> [UInt8] {
    var rest: [UInt8] = []
    rest.append(tablesFile, padded: 56)
    rest.append(littleEndian: UInt32(offset))
    return command(2, file, rest + [4])
  }

  private static func addChecksum(in file: String, at offset: Int, over range: Range<Int>) -> [UInt8] {
    var rest: [UInt8] = []
    for value in [offset, range.lowerBound, range.count] { rest.append(littleEndian: UInt32(value)) }
    return command(3, file, rest)
  }

  // MARK: - Tables

  /// A header before the contents, and the checksum.
  private static func table(_ signature: String, _ contents: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(signature, padded: 4)
    bytes.append(littleEndian: UInt32(headerSize + contents.count))
    bytes += [1, 0]
    bytes.append(maker, padded: 6)
    bytes.append(model, padded: 8)
    bytes.append(littleEndian: UInt32(1))
    bytes.append(creator, padded: 4)
    bytes.append(littleEndian: UInt32(1))
    bytes += contents
    bytes[checksumOffset] = 0 &- bytes.reduce(0, &+)
    return bytes
  }

  private static var facs: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append("FACS", padded: 4)
    bytes.append(littleEndian: UInt32(64))
    return bytes + [UInt8](repeating: 0, count: 56)
  }

  /// The fixed ACPI description table, revision 1: offsets of FACS and DSDT, then the power management function's registers.
  private static func fadt(facs: Int, dsdt: Int) -> [UInt8] {
    let base = PlatformDescription.powerBase
    var bytes: [UInt8] = []
    func word(_ value: UInt16) { bytes.append(littleEndian: value) }
    func doubleword(_ value: UInt32) { bytes.append(littleEndian: value) }
    doubleword(UInt32(facs))
    doubleword(UInt32(dsdt))
    // Multiple APIC interrupt model.
    bytes += [1, 0]
    word(PlatformDescription.systemControlInterrupt)
    doubleword(UInt32(PowerManagement.apmPorts.lowerBound))
    bytes += [PowerManagement.acpiEnable, PowerManagement.acpiDisable, 0, 0]
    for block in [base, 0, base + 4, 0, 0, base + 8, UInt32(PowerManagement.eventPorts.lowerBound), 0] { doubleword(block) }
    // Lengths: PM1 events, control, PM2 control, timer, GPE0, GPE1; GPE1's first number.
    bytes += [4, 2, 0, 4, UInt8(PowerManagement.eventPorts.count), 0, 0, 0]
    // No C2, no C3, no cache flush by reading, no duty cycle.
    for value in [0xFFF, 0xFFF, 0, 0] { word(UInt16(value)) }
    // Duty offset and width, day and month of the alarm, the century's CMOS byte.
    bytes += [0, 0, 0, 0, 0x32, 0, 0, 0]
    // WBINVD works; C1 on all processors; the sleep button is no fixed one (the power button is), nor is the RTC's alarm; use the
    // platform's timer.
    doubleword(1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 15)
    return bytes
  }

  private static func madt(_ processors: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: localAPIC)
    // Flag 0: there is a pair of 8259s as well.
    bytes.append(littleEndian: UInt32(1))
    for number in 0..<processors { bytes += [0, 8, UInt8(clamping: number), UInt8(clamping: number), 1, 0, 0, 0] }
    bytes += [1, 12, 0, 0]
    bytes.append(littleEndian: inputOutputAPIC)
    bytes.append(littleEndian: UInt32(0))
    // Request 0 is at pin 2; PCI's and the SCI are level-triggered, active high.
    for (request, pin, flags) in [(0, 2, 0), (5, 5, 0xD), (9, 9, 0xD), (10, 10, 0xD), (11, 11, 0xD)] {
      bytes += [2, 10, 0, UInt8(request)]
      bytes.append(littleEndian: UInt32(pin))
      bytes.append(littleEndian: UInt16(flags))
    }
    // The local interrupt 1 of all processors is NMI.
    return bytes + [4, 6, 0xFF, 0, 0, 1]
  }

  private static var hpet: [UInt8] {
    var bytes: [UInt8] = []
    // Vendor 8086, legacy replacement, 64-bit counter, three timers, revision 1.
    bytes.append(littleEndian: UInt32(0x8086_A201))
    bytes += [0, 0, 0, 0]
    bytes.append(littleEndian: hpetAddress)
    // Number 0, no least tick, no page protection.
    return bytes + [0, 0, 0, 0]
  }
}

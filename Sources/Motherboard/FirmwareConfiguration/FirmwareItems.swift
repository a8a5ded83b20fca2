/// What the firmware configuration interface offers: items by key, and files by name.
///
/// Keys and file names are those of QEMU's interface, as SeaBIOS reads them (QEMU's docs/specs/fw_cfg.rst; SeaBIOS's
/// docs/Runtime_config.md).
public struct FirmwareItems: Sendable {
  /// Keys of items that have no name.
  public enum Key {
    public static let signature: UInt16 = 0x00
    public static let identity: UInt16 = 0x01
    public static let noGraphics: UInt16 = 0x04
    public static let processors: UInt16 = 0x05
    public static let kernelAddress: UInt16 = 0x07
    public static let kernelSize: UInt16 = 0x08
    public static let ramdiskAddress: UInt16 = 0x0A
    public static let ramdiskSize: UInt16 = 0x0B
    public static let numa: UInt16 = 0x0D
    public static let bootMenu: UInt16 = 0x0E
    public static let largestProcessorCount: UInt16 = 0x0F
    public static let kernelData: UInt16 = 0x11
    public static let ramdiskData: UInt16 = 0x12
    public static let commandLineAddress: UInt16 = 0x13
    public static let commandLineSize: UInt16 = 0x14
    public static let commandLineData: UInt16 = 0x15
    public static let setupAddress: UInt16 = 0x16
    public static let setupSize: UInt16 = 0x17
    public static let setupData: UInt16 = 0x18
    public static let directory: UInt16 = 0x19
    /// The first file's.
    public static let firstFile: UInt16 = 0x20
    public static let acpiTables: UInt16 = 0x8000
    public static let smbiosEntries: UInt16 = 0x8001
    public static let irq0Override: UInt16 = 0x8002
  }

  /// The longest file name, its terminating 0 not counted.
  public static let longestName = 55

  private(set) var items: [UInt16: [UInt8]] = [:]
  private(set) var files: [String: [UInt8]] = [:]

  /// Nothing but the signature and what the interface can do: traditional access and DMA.
  public init() {
    items[Key.signature] = Array("QEMU".utf8)
    items[Key.identity] = [3, 0, 0, 0]
  }

  /// What every machine has: RAM as an e820 map, the number of processors, and no things of old.
  public init(memory: MemoryMap, processors: Int) {
    self.init()
    set(Key.noGraphics, UInt16(0))
    set(Key.processors, UInt16(clamping: processors))
    set(Key.largestProcessorCount, UInt16(clamping: processors))
    set(Key.bootMenu, UInt16(0))
    set(Key.numa, UInt64(0))
    set(Key.acpiTables, UInt16(0))
    set(Key.smbiosEntries, UInt16(0))
    set(Key.irq0Override, UInt8(1))
    setFile("etc/e820", memory.e820)
    // S-states 0 to 5: bit 7 available, low bits the sleep type. Only running and soft-off are.
    setFile("etc/system-states", [0x80, 0, 0, 1, 2, 0x80])
    // Nothing to boot from: stay so.
    setFile("etc/boot-fail-wait", [0xFF, 0xFF, 0xFF, 0xFF])
  }

  public mutating func set(_ key: UInt16, _ bytes: [UInt8]) { items[key] = bytes }

  /// A number, little-endian.
  public mutating func set<T: FixedWidthInteger>(_ key: UInt16, _ value: T) {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: value)
    items[key] = bytes
  }

  /// A file; a name that is too long is not offered.
  public mutating func setFile(_ name: String, _ bytes: [UInt8]) {
    guard name.utf8.count <= Self.longestName, !name.isEmpty else { return }
    files[name] = bytes
  }

  /// All items by key, the files and their directory (sorted by name) among them.
  var resolved: [UInt16: [UInt8]] {
    var all = items
    var directory: [UInt8] = []
    let names = files.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    directory.append(bigEndian: UInt32(names.count))
    for (index, name) in names.enumerated() {
      let key = Key.firstFile + UInt16(index)
      let bytes = files[name] ?? []
      all[key] = bytes
      directory.append(bigEndian: UInt32(clamping: bytes.count))
      directory.append(bigEndian: key)
      directory.append(bigEndian: UInt16(0))
      directory.append(name, padded: 56)
    }
    all[Key.directory] = directory
    return all
  }
}

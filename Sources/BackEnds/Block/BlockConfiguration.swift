/// How a virtual disk looks to the guest and what its work costs in guest time.
public struct BlockConfiguration: Sendable {
  /// The device as xl names it: `xvda`. In `--stats`.
  public var name: String
  /// (major << 8) | minor, or the extended form: `51712` is xvda.
  public var virtualDevice: UInt32
  public var isCDROM = false
  public var isRemovable = false
  public var isReadOnly = false
  /// Queues offered, at most one a vCPU is of use.
  public var maximumQueues = 1
  /// Ring pages as a power of two.
  public var maximumRingPageOrder = 4
  public var maximumIndirectSegments = 256
  /// Grants that stay mapped: a front end then copies every page to or from those it keeps, which costs more than a mapping does here.
  public var persistentGrants = false
  /// Guest time from a request to its response: a part for each request, one for each byte, one for a flush.
  public var nanosecondsPerRequest: UInt64 = 20_000
  public var bytesPerMicrosecond: UInt64 = 1000
  public var nanosecondsPerFlush: UInt64 = 50_000

  public init(name: String, virtualDevice: UInt32) {
    self.name = name
    self.virtualDevice = virtualDevice
  }

  /// xl's names: `xvda`, `xvda1`, `xvdaa`, `hda`, `sda`; a number stands for itself. nil if it is none of these.
  public static func virtualDevice(named name: String) -> UInt32? {
    if let number = UInt32(name) { return number }
    let families: [(prefix: String, base: (Int) -> UInt32?, partitions: UInt32)] = [
      ("xvd", { $0 < 16 ? 202 << 8 | UInt32($0) << 4 : nil }, 16),
      ("sd", { $0 < 16 ? 8 << 8 | UInt32($0) << 4 : nil }, 16),
      ("hd", { $0 < 4 ? ($0 < 2 ? 3 : 22) << 8 | UInt32($0 & 1) << 6 : nil }, 64),
    ]
    for family in families where name.hasPrefix(family.prefix) {
      let letters = name.dropFirst(family.prefix.count).prefix { $0 >= "a" && $0 <= "z" }
      let digits = name.dropFirst(family.prefix.count + letters.count)
      guard !letters.isEmpty, letters.count <= 3 else { return nil }
      var disk = 0
      for letter in letters.utf8 { disk = disk * 26 + Int(letter - UInt8(ascii: "a")) + 1 }
      disk -= 1
      var partition: UInt32 = 0
      if !digits.isEmpty {
        guard let number = UInt32(digits), number > 0, number < 256 else { return nil }
        partition = number
      }
      if partition < family.partitions, let base = family.base(disk) { return base | partition }
      // Later xvd disks, and partitions without a minor of their own, have the extended form.
      guard family.prefix == "xvd", disk < 1 << 20 else { return nil }
      return 1 << 28 | UInt32(disk) << 8 | partition
    }
    return nil
  }
}

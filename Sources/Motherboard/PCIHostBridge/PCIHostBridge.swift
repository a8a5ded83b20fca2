/// The host bridge of the 82441FX (PMC; Intel 290549): which of the accesses to the region of ROMs, and to SMRAM, reach RAM.
public final class PCIHostBridge: BoardDevice {
  public let name = "host-bridge"
  public let function: PCIFunction

  /// What the programmable attribute map says of a segment.
  public struct Access: OptionSet, Codable, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Loads reach RAM; otherwise the ROM that lies there.
    public static let reads = Access(rawValue: 1)
    /// Stores reach RAM; otherwise nothing.
    public static let writes = Access(rawValue: 2)
  }

  public static let segmentSize: UInt64 = 0x4000
  /// 16 segments from here to 1 MiB. The last four, the BIOS area of 64 KiB, always agree.
  public static let segmentsStart: UInt64 = 0xC0000
  public private(set) var segments = [Access](repeating: [], count: 16)

  /// A segment's access changed: decoded code and translations of it are stale. Set once the memory is laid out as at reset.
  public var segmentChanged: (_ range: Range<UInt64>, _ access: Access) -> Void = { _, _ in }
  /// Whether RAM instead of the display's memory is at 0xa0000 to 0xbffff for all accesses (SMRAM register, D_OPEN and G_SMRAME).
  public private(set) var isSMRAMOpen = false
  public var smramChanged: (_ isOpen: Bool) -> Void = { _ in }

  public struct State: Codable, Equatable {
    public var configuration: PCIFunction.Registers
  }
  public var state: State {
    get { State(configuration: function.registers) }
    set {
      function.restore(newValue.configuration)
      update()
    }
  }

  private enum Register {
    static let attributeMap = 0x59
    static let smram = 0x72
  }
  /// The SMRAM register's bits.
  private enum SMRAM {
    static let open: UInt8 = 0x40
    static let closed: UInt8 = 0x20
    static let lock: UInt8 = 0x10
    static let enable: UInt8 = 0x08
  }

  public init(board: Board) {
    function = PCIFunction(
      board: board, identity: (0x8086, 0x1237), classCode: 0x060000, revision: 2, bytes: [Register.smram: 0x02])
    for offset in 0x40...0xFF { function.allowWrites(offset, 0xFF) }
    for offset in 0..<7 { function.allowWrites(Register.attributeMap + offset, offset == 0 ? 0x30 : 0x33) }
    unlockSMRAM()
    function.configWritten = { [unowned self] _, _ in update() }
  }

  public func reset() {
    unlockSMRAM()
    function.reset()
    update()
  }

  private func unlockSMRAM() { function.allowWrites(Register.smram, SMRAM.open | SMRAM.closed | SMRAM.lock | SMRAM.enable) }

  private func update() {
    let bytes = function.registers.bytes
    for segment in segments.indices {
      // PAM0's high half is the BIOS area; from PAM1 on, each half is a segment.
      let nibble =
        segment >= 12 ? bytes[Register.attributeMap] >> 4 : bytes[Register.attributeMap + 1 + segment / 2] >> UInt8(segment % 2 * 4)
      let access = Access(rawValue: nibble & 3)
      guard access != segments[segment] else { continue }
      segments[segment] = access
      let start = Self.segmentsStart + UInt64(segment) * Self.segmentSize
      segmentChanged(start..<start + Self.segmentSize, access)
    }
    var smram = bytes[Register.smram]
    if smram & SMRAM.lock != 0 {
      // Locked until reset: closed for good.
      smram &= ~SMRAM.open
      function.set(Register.smram, size: 1, UInt32(smram))
      function.allowWrites(Register.smram, SMRAM.closed)
    } else {
      unlockSMRAM()
    }
    let isOpen = smram & SMRAM.open != 0 && smram & SMRAM.enable != 0
    guard isOpen != isSMRAMOpen else { return }
    isSMRAMOpen = isOpen
    smramChanged(isOpen)
  }
}

import Devices
import Storage

/// The IDE function of the 82371SB (PIIX3), 00:01.1: two channels at the ports and interrupts of the PC/AT, and a bus master.
///
/// Ports: 1F0-1F7 and 3F6 with IRQ 14, 170-177 and 376 with IRQ 15, while the command register allows I/O and the channel's
/// IDETIM register (40, 42) decoding. Base address register 4 has the bus master's 16 ports.
public final class IDEController: BoardDevice, PortHandler, EventHandler {
  public struct State: Codable {
    var function: PCIFunction.Registers
    var channels: [IDEChannel.Saved]
  }

  public enum Failure: Error, Equatable {
    /// A disk needs an image with sectors of 512 bytes, a CD-ROM drive one whose sectors divide 2048 bytes.
    case sectorSize(drive: String, Int)
    case diskWithoutImage(drive: String)
    case tooManyDrives
  }

  public let name = "ide"
  public let function: PCIFunction
  public let costs: IDECosts
  let board: Board
  private(set) var eventTarget: EventQueue.Target = 0
  private var channels: [IDEChannel] = []
  private var isDecoding = [false, false]

  /// - Parameters:
  ///   - interrupts: of the two channels, IRQ 14 and 15.
  ///   - drives: up to four: primary master and slave, secondary master and slave; nil: nothing there.
  public init(
    board: Board, interrupts: (primary: InterruptLine, secondary: InterruptLine), drives: [IDEDriveDescription?],
    costs: IDECosts = IDECosts()
  ) throws(Failure) {
    guard drives.count <= 4 else { throw .tooManyDrives }
    for case let drive? in drives { try Self.check(drive) }
    self.board = board
    self.costs = costs
    function = PCIFunction(
      board: board, identity: (0x8086, 0x7010), classCode: 0x010180, revision: 0, bytes: [0x06: 0x80, 0x07: 0x02])
    eventTarget = board.register(self)
    for (number, line) in [interrupts.primary, interrupts.secondary].enumerated() {
      let channel = IDEChannel(controller: self, board: board, number: number, interrupt: line)
      for unit in 0..<2 where drives.count > number * 2 + unit {
        guard let drive = drives[number * 2 + unit] else { continue }
        channel.attach(
          drive.kind == .disk
            ? ATADisk(drive, channel: channel, unit: unit) : ATAPIDrive(drive, channel: channel, unit: unit), at: unit)
      }
      channels.append(channel)
    }
    function.setWindow(4, .ports(size: 16, width: 4, handler: self))
    // IDETIM of both channels, SIDETIM; UDMA's registers are PIIX4's.
    for offset in 0x40...0x44 { function.allowWrites(offset, 0xFF) }
    function.configWritten = { [weak self] offset, size in
      if offset <= 5 || offset + size > 0x40 && offset < 0x44 { self?.decode() }
    }
    for channel in channels { channel.reset() }
  }

  private static func check(_ drive: IDEDriveDescription) throws(Failure) {
    guard let image = drive.image else {
      if drive.kind == .disk { throw .diskWithoutImage(drive: drive.name) }
      return
    }
    let unit = drive.kind == .disk ? 512 : 2048
    guard image.sectorSize > 0, unit % image.sectorSize == 0 else { throw .sectorSize(drive: drive.name, image.sectorSize) }
  }

  /// Gives or takes the channels' ports as configuration space says, and lets DMA that waited for bus mastering begin.
  private func decode() {
    let allowsPorts = function.read(4, size: 1) & 1 != 0
    for (number, channel) in channels.enumerated() {
      let wanted = allowsPorts && function.read(0x41 + number * 2, size: 1) & 0x80 != 0
      if wanted != isDecoding[number] {
        isDecoding[number] = wanted
        if wanted { channel.claimPorts() } else { channel.releasePorts() }
      }
      channel.beginTransfers()
    }
  }

  // MARK: - The bus master's ports

  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    channels[Int(port >> 3 & 1)].busMaster.read(Int(port & 7), size: size)
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    let first = Int(port & 15)
    for index in 0..<size where first + index < 16 {
      let at = first + index
      channels[at >> 3].writeBusMaster(at & 7, UInt8(truncatingIfNeeded: value >> UInt32(index * 8)))
    }
  }

  public func event(_ payload: UInt64, at cycle: Cycles) { channels[Int(payload >> 1 & 1)].event(payload) }

  // MARK: - The machine's

  public func reset() {
    function.reset()
    for channel in channels { channel.reset() }
    decode()
  }

  public var state: State {
    get { State(function: function.registers, channels: channels.map(\.state)) }
    set {
      function.restore(newValue.function)
      for (channel, saved) in zip(channels, newValue.channels) { channel.state = saved }
      decode()
    }
  }

  /// Of the drives there are, in order.
  public var statistics: [BlockStatistics] { channels.flatMap { $0.drives.compactMap { $0?.statistics } } }

  /// Puts another disc into a CD-ROM drive (nil: takes it out); false if there is no such drive or software has locked it.
  @discardableResult public func changeDisc(inDriveNamed name: String, to image: (any BlockDevice)?) -> Bool {
    for channel in channels {
      for case let drive as ATAPIDrive in channel.drives where drive.description.name == name { return drive.change(to: image) }
    }
    return false
  }
}

import Devices
import GuestMemory
import Storage

/// One of the two cables: command block, control block, and the bus master's registers for it.
final class IDEChannel: PortHandler {
  struct Saved: Codable {
    var deviceControl: UInt8 = 0
    /// The second drive is selected.
    var selected = 0
    var busMaster = BusMasterRegisters()
    var drives: [IDEDrive.Saved?] = [nil, nil]
  }

  unowned let board: Board
  unowned let controller: IDEController
  let number: Int
  private let interruptLine: InterruptLine
  let commandBase: UInt16
  let controlPort: UInt16
  var drives: [IDEDrive?] = [nil, nil]
  /// nIEN is bit 1, SRST bit 2, HOB bit 7.
  private var deviceControl: UInt8 = 0
  private var selectedUnit = 0
  /// `drives[selectedUnit]`, kept for the data port.
  private(set) var selected: IDEDrive?
  var busMaster = BusMasterRegisters()

  init(controller: IDEController, board: Board, number: Int, interrupt: InterruptLine) {
    self.controller = controller
    self.board = board
    self.number = number
    interruptLine = interrupt
    commandBase = number == 0 ? 0x1F0 : 0x170
    controlPort = number == 0 ? 0x3F6 : 0x376
  }

  func attach(_ drive: IDEDrive?, at unit: Int) {
    drives[unit & 1] = drive
    selected = drives[selectedUnit]
  }

  func claimPorts() {
    board.claimPorts(commandBase...commandBase, width: 4, by: self)
    board.claimPorts(commandBase + 1...commandBase + 7, width: 1, by: self)
    board.claimPorts(controlPort...controlPort, width: 1, by: self)
  }

  func releasePorts() {
    board.releasePorts(commandBase...commandBase + 7, by: self)
    board.releasePorts(controlPort...controlPort, by: self)
  }

  /// The line follows the selected drive, unless the guest wants no interrupts (nIEN).
  func updateInterrupt() {
    let level = deviceControl & 2 == 0 && selected?.saved.interruptPending == true
    if level && !interruptLine.isRaised { busMaster.status |= 4 }
    interruptLine.set(level)
  }

  // MARK: - Ports

  func readPort(_ port: UInt16, size: Int) -> UInt32 {
    guard port != commandBase else { return readData(size) }
    guard let drive = selected else { return port == commandBase + 6 && (drives[0] ?? drives[1]) != nil ? UInt32(selectedUnit) << 4 : 0 }
    let shift: UInt16 = deviceControl & 0x80 != 0 ? 8 : 0
    let value: UInt16
    switch port &- commandBase {
    case 1: value = shift == 0 ? UInt16(drive.saved.task.error) : drive.saved.task.features >> 8
    case 2: value = drive.saved.task.count >> shift
    case 3: value = drive.saved.task.lbaLow >> shift
    case 4: value = drive.saved.task.lbaMid >> shift
    case 5: value = drive.saved.task.lbaHigh >> shift
    case 6: value = UInt16(drive.saved.task.device)
    case 7:
      if drive.saved.interruptPending {
        drive.saved.interruptPending = false
        updateInterrupt()
      }
      value = UInt16(drive.saved.task.status)
    default: value = UInt16(drive.saved.task.status)
    }
    return UInt32(value & 0xFF)
  }

  func writePort(_ port: UInt16, size: Int, value: UInt32) {
    guard port != commandBase else { return writeData(value, size) }
    let byte = UInt8(truncatingIfNeeded: value)
    guard port != controlPort else { return writeControl(byte) }
    deviceControl &= 0x7F
    switch port &- commandBase {
    case 1: forEachDrive { TaskFile.push(&$0.saved.task.features, byte) }
    case 2: forEachDrive { TaskFile.push(&$0.saved.task.count, byte) }
    case 3: forEachDrive { TaskFile.push(&$0.saved.task.lbaLow, byte) }
    case 4: forEachDrive { TaskFile.push(&$0.saved.task.lbaMid, byte) }
    case 5: forEachDrive { TaskFile.push(&$0.saved.task.lbaHigh, byte) }
    case 6:
      forEachDrive { $0.saved.task.device = byte }
      selectedUnit = Int(byte >> 4 & 1)
      selected = drives[selectedUnit]
      updateInterrupt()
    default: command(byte)
    }
  }

  @inline(__always) private func forEachDrive(_ body: (IDEDrive) -> Void) {
    if let drive = drives[0] { body(drive) }
    if let drive = drives[1] { body(drive) }
  }

  private func command(_ command: UInt8) {
    if command == ATACommand.executeDiagnostic {
      forEachDrive { $0.reset(isPowerOn: false) }
      select(0)
      drives[0]?.interrupt()
      return
    }
    guard let drive = selected else { return }
    let status = drive.saved.task.status
    // Only DEVICE RESET gets through to a drive that is at work, and to one with packets only.
    guard status & (ATAStatus.busy | ATAStatus.dataRequest) == 0 || command == ATACommand.deviceReset && drive is ATAPIDrive else { return }
    guard deviceControl & 4 == 0 else { return }
    drive.saved.interruptPending = false
    updateInterrupt()
    drive.execute(command)
  }

  private func writeControl(_ byte: UInt8) {
    let changed = deviceControl ^ byte
    deviceControl = byte
    if changed & 4 != 0 {
      if byte & 4 != 0 {
        busMaster.status &= ~1
        forEachDrive {
          $0.cancel()
          $0.saved.interruptPending = false
          $0.saved.task.status = ATAStatus.busy
        }
      } else {
        forEachDrive { $0.reset(isPowerOn: false) }
        select(0)
      }
    }
    updateInterrupt()
  }

  private func select(_ unit: Int) {
    selectedUnit = unit
    selected = drives[unit]
    updateInterrupt()
  }

  // MARK: - Data

  private func readData(_ size: Int) -> UInt32 {
    var value: UInt32 = 0
    guard let drive = selected else { return 0 }
    _ = withUnsafeMutableBytes(of: &value) { drive.readData(UnsafeMutableRawBufferPointer(rebasing: $0[..<min(max(size, 1), 4)])) }
    return UInt32(littleEndian: value)
  }

  private func writeData(_ value: UInt32, _ size: Int) {
    guard let drive = selected else { return }
    withUnsafeBytes(of: value.littleEndian) { _ = drive.writeData(UnsafeRawBufferPointer(rebasing: $0[..<min(max(size, 1), 4)])) }
  }

  func readPort(_ port: UInt16, size: Int, into elements: UnsafeMutableRawBufferPointer) -> Int {
    guard port == commandBase, let drive = selected else { return 0 }
    let whole = min(elements.count, drive.portBytes) & ~(size - 1)
    guard whole > 0 else { return 0 }
    return drive.readData(UnsafeMutableRawBufferPointer(rebasing: elements[..<whole])) / size
  }

  func writePort(_ port: UInt16, size: Int, from elements: UnsafeRawBufferPointer) -> Int {
    guard port == commandBase, let drive = selected else { return 0 }
    let whole = min(elements.count, drive.portBytes) & ~(size - 1)
    guard whole > 0 else { return 0 }
    return drive.writeData(UnsafeRawBufferPointer(rebasing: elements[..<whole])) / size
  }

  // MARK: - Reset and saving

  func reset() {
    deviceControl = 0
    busMaster = BusMasterRegisters()
    forEachDrive { $0.reset(isPowerOn: true) }
    select(0)
  }

  var state: Saved {
    get {
      Saved(
        deviceControl: deviceControl, selected: selectedUnit, busMaster: busMaster,
        drives: drives.map { $0?.state })
    }
    set {
      deviceControl = newValue.deviceControl
      selectedUnit = newValue.selected & 1
      selected = drives[selectedUnit]
      busMaster = newValue.busMaster
      for (drive, saved) in zip(drives, newValue.drives) { if let drive, let saved { drive.state = saved } }
      interruptLine.set(deviceControl & 2 == 0 && selected?.saved.interruptPending == true)
      resumeJobs()
    }
  }
}

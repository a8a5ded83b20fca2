import Devices
import Foundation
import GuestMemory

/// A device on the motherboard: a value of registers and functions on it. Its future work is events on the board's queue.
public protocol BoardDevice: AnyObject {
  associatedtype State: Codable
  /// A short name, as in a saved machine: "pit", "ide".
  var name: String { get }
  /// Every register and everything else that a later access depends on.
  var state: State { get set }
  /// What a system reset does (port 0xcf9, the keyboard controller, a triple fault).
  func reset()
}

extension BoardDevice {
  /// The state in canonical form: equal states give equal bytes.
  public func encodedState() -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return (try? encoder.encode(state)) ?? Data()
  }
}

/// Answers IN and OUT.
public protocol PortHandler: AnyObject {
  /// - Parameter size: 1, 2 or 4 bytes; never more than was claimed with `Board.claimPorts(_:width:by:)`.
  func readPort(_ port: UInt16, size: Int) -> UInt32
  /// - Parameter value: only the low `size` bytes count.
  func writePort(_ port: UInt16, size: Int, value: UInt32)
  /// REP INS: as many elements as there are at hand, in a row; the number done, 0 to be asked one by one with `readPort`.
  func readPort(_ port: UInt16, size: Int, into elements: UnsafeMutableRawBufferPointer) -> Int
  /// REP OUTS, likewise.
  func writePort(_ port: UInt16, size: Int, from elements: UnsafeRawBufferPointer) -> Int
}

extension PortHandler {
  public func readPort(_ port: UInt16, size: Int, into elements: UnsafeMutableRawBufferPointer) -> Int { 0 }
  public func writePort(_ port: UInt16, size: Int, from elements: UnsafeRawBufferPointer) -> Int { 0 }
}

/// Answers loads and stores in a window of physical memory.
public protocol MemoryHandler: AnyObject {
  /// - Parameters:
  ///   - offset: from the start of the window that was claimed.
  ///   - size: 1, 2, 4 or 8 bytes; any alignment.
  func readMemory(_ offset: UInt64, size: Int) -> UInt64
  func writeMemory(_ offset: UInt64, size: Int, value: UInt64)
}

/// Device memory that may lie in the machine's own frames while its window is open: the processor then reaches it without asking.
public protocol FrameBackedMemory: MemoryHandler {
  /// The window opened at an address where the machine has frames and nothing else is. The handler may make them RAM and keep its bytes
  /// there; it is still asked where another window came to lie above.
  func windowOpened(at address: UInt64, in memory: MachineMemory)
  /// The window closes; called for every one.
  func windowClosed()
}

/// Does what is due.
public protocol EventHandler: AnyObject {
  /// - Parameters:
  ///   - payload: as scheduled.
  ///   - cycle: when it was due; `Board.now` is that or later.
  func event(_ payload: UInt64, at cycle: Cycles)
}

/// A wire: whoever drives it says its level, whoever listens hears of changes only.
public final class InterruptLine {
  public private(set) var isRaised = false
  private let changed: (Bool) -> Void

  public init(_ changed: @escaping (Bool) -> Void) { self.changed = changed }

  public func set(_ level: Bool) {
    guard level != isRaised else { return }
    isRaised = level
    changed(level)
  }

  /// An edge: down if it was up, then up.
  public func pulse() {
    set(false)
    set(true)
  }
}

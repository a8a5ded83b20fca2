import Devices
import GuestMemory

/// The PC's display adapter: a VGA with the Bochs display interface for larger modes, as PCI function 1234:1111.
///
/// Sources: IBM PS/2 Hardware Interface Technical Reference, video subsystem (registers, planes, addressing); the Bochs display
/// interface as its BIOS uses it. The ports 3b4 to 3da, 1ce, 1cf and the window a0000 to bffff are its from the start, whatever the PCI
/// command register says; its base address registers open as PCI has it.
///
/// It makes no interrupt: PC adapters with the vertical one connected are rare, and no driver for them counts on it.
public final class VGA: BoardDevice {
  public struct State: Codable {
    public var registers: VGARegisters
    public var memory: [VideoMemory.Page]
    public var configuration: PCIFunction.Registers
  }

  public let name = "vga"
  public let board: Board
  public let memory: VideoMemory
  /// The function, to be put on the bus.
  public let function: PCIFunction
  public internal(set) var registers = VGARegisters()
  /// How the window at a0000 works now: made of the registers by `updateWindow`, so that an access looks at nothing else.
  /// Invariant: one element, alive as long as the object.
  let window: UnsafeMutablePointer<VGAWindow>
  let windowHandler = Window()
  let controlHandler = Control()

  /// Claims the adapter's ports and its window on the board.
  ///
  /// - Parameters:
  ///   - rom: the video BIOS, for the expansion ROM; empty: none.
  ///   - memory: the display memory; 16 MiB of its own unless given.
  public init(board: Board, rom: [UInt8], memory: VideoMemory = VideoMemory()) {
    self.board = board
    self.memory = memory
    window = .allocate(capacity: 1)
    window.initialize(to: VGAWindow())
    // Revision 2: control registers in memory.
    function = PCIFunction(board: board, identity: (0x1234, 0x1111), classCode: 0x030000, revision: 2)
    windowHandler.owner = self
    controlHandler.owner = self
    function.setWindow(0, .memory(size: UInt64(memory.byteCount), isPrefetchable: true, handler: memory))
    function.setWindow(2, .memory(size: 4096, isPrefetchable: false, handler: controlHandler))
    if !rom.isEmpty { function.setWindow(6, .rom(bytes: rom)) }
    for ports in [0x3B4...0x3B5, 0x3BA...0x3BA, 0x3C0...0x3C2, 0x3C4...0x3CA, 0x3CC...0x3CC, 0x3CE...0x3CF, 0x3D4...0x3D5, 0x3DA...0x3DA]
      as [ClosedRange<UInt16>]
    {
      board.claimPorts(ports, width: 1, by: self)
    }
    board.claimPorts(0x1CE...0x1CF, width: 2, by: self)
    board.claimMemory(0xA0000..<0xC0000, by: windowHandler)
    updateWindow()
  }

  deinit { window.deallocate() }

  public var state: State {
    get {
      var registers = registers
      registers.latches = window.pointee.latches
      return State(registers: registers, memory: memory.pages, configuration: function.registers)
    }
    set {
      guard newValue.registers.isWhole else { return }
      registers = newValue.registers
      memory.pages = newValue.memory
      window.pointee.latches = registers.latches
      function.restore(newValue.configuration)
      fitDispi()
      updateWindow()
    }
  }

  /// What is in the memory stays.
  public func reset() {
    registers = VGARegisters()
    window.pointee.latches = 0
    function.reset()
    updateWindow()
    memory.touch()
  }

  // The board holds the adapter, as the handler of its ports, for as long as it holds these two: `owner` is there when they are called.

  /// The window of physical memory at a0000.
  final class Window: MemoryHandler {
    unowned(unsafe) var owner: VGA!
    func readMemory(_ offset: UInt64, size: Int) -> UInt64 { owner.readWindow(offset, size: size) }
    func writeMemory(_ offset: UInt64, size: Int, value: UInt64) { owner.writeWindow(offset, size: size, value: value) }
  }

  /// The control registers in memory.
  final class Control: MemoryHandler {
    unowned(unsafe) var owner: VGA!
    func readMemory(_ offset: UInt64, size: Int) -> UInt64 { owner.readControl(offset, size: size) }
    func writeMemory(_ offset: UInt64, size: Int, value: UInt64) { owner.writeControl(offset, size: size, value: value) }
  }
}

extension VGARegisters {
  /// Whether a saved one has as many registers as there are.
  var isWhole: Bool {
    sequencer.count == 5 && crtc.count == 25 && graphics.count == 9 && attribute.count == 21 && palette.count == 768
      && paletteHeld.count == 2 && dispi.count == 10 && paletteComponent < 3
  }
}

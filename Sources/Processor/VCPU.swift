import CHost
import GuestMemory
import X86

/// Why `VCPU.run` returned. Everything that the processor cannot finish alone is a value.
public enum Exit: Equatable, Sendable {
  /// The deadline's cycle has come; RIP is the next instruction.
  case deadline
  /// A fault (RIP at the instruction) or trap (RIP after it). CR2 is in the state. Nothing has been delivered.
  case exception(vector: UInt8, errorCode: UInt32?)
  /// SYSCALL: RIP is the next instruction's; RCX and R11 are as before.
  case syscall
  /// SYSENTER, RIP as for `syscall`.
  case sysenter
  /// INT n (also INT3 as n = 3 by CD 03, but not the one-byte forms, which are exceptions 3 and 1): RIP is the
  /// instruction's, `nextRIP` the one after.
  case interrupt(vector: UInt8)
  /// HLT at CPL 0.
  case halt
  /// An interrupt that the platform wants taken (`VCPU.interruptRequested`, `VCPU.nonMaskableRequested`) can be taken now, before the
  /// instruction at RIP: see `VCPU.deliver(interrupt:)`.
  case interruptWindow
  /// The delivery of a double fault failed: the processor has shut down.
  case tripleFault
  /// The exit handler (`VCPU.serveExits`) wants its caller's loop.
  case stop
}

/// One virtual CPU: its state and the engine that runs it. It knows the architecture only; what a hypervisor or a
/// motherboard makes of an exit is theirs. Used from one thread.
public final class VCPU: @unchecked Sendable {
  /// The state, alive as long as the object.
  public let cpu: CPU
  public let memory: MachineMemory
  private let allocation: UnsafeMutableRawPointer
  static let nativeStackBytes = 1 << 19
  let blocks: BlockCache
  /// The translator, once enabled.
  var translator: Translator?
  /// What the run loop changes at every turn: plain memory as long as the object lives, since a class property costs an
  /// exclusivity check at each use.
  let turn: UnsafeMutablePointer<Turn>
  struct Turn {
    /// The jump of translated code that left for what the run loop finds next, as an offset in the code buffer; 0 none.
    var pendingLink: UInt32 = 0
    /// The code buffer is full.
    var flushWanted = false
    /// What an exit came to that was dealt with in the middle of translated code, and ends the run.
    var served: Exit?
    /// The way into translated code, if the translator is on.
    var enter: NativeRuntime.Enter?
    var exitHandler: ExitHandler?
    var exitContext: UnsafeMutableRawPointer?
    var counters = RunCounters()
  }
  let translations: TranslationSets

  /// How descriptors are found: (selector) -> the 8 bytes, or nil for a #GP(selector). Where it is nil they are read at the
  /// GDT's or LDT's linear base.
  public var descriptorReader: ((UInt16) -> DescriptorRead)?
  public enum DescriptorRead: Sendable {
    case descriptor(UInt64)
    /// Beyond the table's limit.
    case outside
    /// Reading it faulted: raise this instead (#PF with error code and CR2).
    case pageFault(errorCode: UInt32, linear: UInt64)
  }
  /// CPUID: (leaf, subleaf) -> eax, ebx, ecx, edx.
  public var cpuid: (UInt32, UInt32) -> (UInt32, UInt32, UInt32, UInt32) = { _, _ in (0, 0, 0, 0) }
  /// Registers that only keep what was written, where the processor stands for itself.
  var modelSpecific = ModelSpecificRegisters()
  /// Where a string instruction is run in part (`SegmentedStrings`).
  let limitedString = makeLimitedString()
  /// Whether there is SMAP, with STAC and CLAC.
  public var hasAccessPrevention = false
  /// What may be set of CR4 and XCR0 where the processor stands for itself: the bits of features that CPUID offers.
  public var offeredControlFour = VCPU.controlFour
  public var offeredExtendedControl: UInt64 = 7
  /// What CPL 0 and port instructions reach of the platform.
  public var system = SystemHooks()

  public init(memory: MachineMemory) {
    self.memory = memory
    // The translator's code has its stack right below the state.
    allocation = .allocate(byteCount: Self.nativeStackBytes + MemoryLayout<pv_vcpu>.size, alignment: 64)
    let raw = allocation + Self.nativeStackBytes
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<pv_vcpu>.size)
    cpu = raw.bindMemory(to: pv_vcpu.self, capacity: 1)
    translations = TranslationSets(memory: memory)
    turn = .allocate(capacity: 1)
    turn.initialize(to: Turn())
    blocks = BlockCache(memory: memory)
    cpu.pointee.tlb = translations.current
    reset()
    cpu.pointee.owner = Unmanaged.passUnretained(self).toOpaque()
    memory.codeWillChange = { [unowned self] address, count in blocks.codeWillChange(address, count, cpu: cpu) }
    memory.tableWillChange = { [unowned self] frame in unwatch(frame) }
    memory.kindsWillChange = { [unowned self] frames in
      for frame in frames where memory.codeLines[frame] != 0 { blocks.dropPage(frame, cpu: cpu, runningOperation: nil) }
      translations.flushAll()
    }
  }

  deinit {
    allocation.deallocate()
    turn.deallocate()
    limitedString.deallocate()
  }

  /// Calls `body` with the object behind a state pointer, at no cost of counting references.
  @inline(__always) static func with<R>(_ cpu: CPU, _ body: (VCPU) -> R) -> R {
    Unmanaged<VCPU>.fromOpaque(cpu.pointee.owner!)._withUnsafeGuaranteedRef(body)
  }

  /// The object behind a state pointer, for slow paths.
  @inline(__always) static func of(_ cpu: CPU) -> VCPU {
    Unmanaged<VCPU>.fromOpaque(cpu.pointee.owner!).takeUnretainedValue()
  }
}

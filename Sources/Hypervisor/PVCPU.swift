import GuestMemory
import Processor

/// An entry of the trap table (xen.h, struct trap_info).
public struct TrapGate: Sendable, Equatable, Codable {
  public var address: UInt64 = 0
  public var selector: UInt16 = 0
  /// Lowest ring allowed to raise it by INT n.
  public var dpl: UInt8 = 0
  public var masksEvents = false
  public init() {}
}

/// A registered callback.
public struct Callback: Sendable, Equatable, Codable {
  public var address: UInt64 = 0
  public var masksEvents = false
  public init(address: UInt64 = 0, masksEvents: Bool = false) {
    self.address = address
    self.masksEvents = masksEvents
  }
}

/// The 256 gates of a vCPU's trap table, in plain memory of the vCPU's.
public struct TrapTable: RandomAccessCollection {
  let gates: UnsafeMutablePointer<TrapGate>
  public var startIndex: Int { 0 }
  public var endIndex: Int { 256 }
  public subscript(index: Int) -> TrapGate {
    get { gates[index & 255] }
    nonmutating set { gates[index & 255] = newValue }
  }
}

/// What Xen keeps for a vCPU beside its architectural state.
///
/// What traps and hypercalls look at is one plain structure behind a pointer, because a class property costs an exclusivity
/// check at each use. Invariants: `hot` and the gates live as long as the object; `hot.info` is the host address of the 64
/// bytes at `vcpuInfo`, `hot.infoCode` the code lines of their frame.
public final class PVCPU {
  public let id: Int
  public let vcpu: VCPU
  /// The processor's state, alive as long as `vcpu`.
  let cpu: CPU
  public let traps: TrapTable
  let hot: UnsafeMutablePointer<Hot>
  /// What the processor is given when its exits are served inside its run (`Domain.serveExits`).
  let exitServer: UnsafeMutablePointer<ExitServer>

  struct Hot {
    var kernelMode: Bool = true
    var kernelTable: UInt64 = 0
    var userTable: UInt64 = 0
    var kernelSS: UInt16 = 0xE02B
    var kernelSP: UInt64 = 0
    var eventCallback = Callback()
    var failsafeCallback = Callback()
    var syscallCallback = Callback()
    var syscall32Callback = Callback()
    var sysenterCallback = Callback()
    var inactiveGSBase: UInt64 = 0
    var taskSwitched: Bool = false
    var cr2: UInt64 = 0
    var cr4: UInt64 = 0
    var iopl: UInt8 = 0
    var blocked: Bool = false
    var polling: Bool = false
    var nmiPending: Bool = false
    var nmiInProgress: Bool = false
    var inMulticall: Bool = false
    var vcpuInfo: UInt64 = 0
    /// Frames of the GDT, `gdtCount` of them.
    var gdt: UnsafeMutablePointer<UInt64>
    var gdtCount = 0
    /// The code and stack segments that iret loaded last from the GDT, with the descriptors they came from.
    var iretCode = LoadedSegment()
    var iretStack = LoadedSegment()
    /// All of machine memory.
    let memory: UnsafeRawPointer
    var info: UnsafeMutableRawPointer
    var infoCode: UnsafePointer<UInt64>
  }

  /// The mode bit: guest kernel and guest user both run at CPL 3.
  public var kernelMode: Bool {
    get { hot.pointee.kernelMode }
    set { hot.pointee.kernelMode = newValue }
  }
  /// Machine frames of the two top-level tables; the user one is 0 until set.
  public var kernelTable: UInt64 {
    get { hot.pointee.kernelTable }
    set { hot.pointee.kernelTable = newValue }
  }
  public var userTable: UInt64 {
    get { hot.pointee.userTable }
    set { hot.pointee.userTable = newValue }
  }
  /// stack_switch.
  public var kernelSS: UInt16 {
    get { hot.pointee.kernelSS }
    set { hot.pointee.kernelSS = newValue }
  }
  public var kernelSP: UInt64 {
    get { hot.pointee.kernelSP }
    set { hot.pointee.kernelSP = newValue }
  }
  public var eventCallback: Callback {
    get { hot.pointee.eventCallback }
    set { hot.pointee.eventCallback = newValue }
  }
  public var failsafeCallback: Callback {
    get { hot.pointee.failsafeCallback }
    set { hot.pointee.failsafeCallback = newValue }
  }
  public var syscallCallback: Callback {
    get { hot.pointee.syscallCallback }
    set { hot.pointee.syscallCallback = newValue }
  }
  public var syscall32Callback: Callback {
    get { hot.pointee.syscall32Callback }
    set { hot.pointee.syscall32Callback = newValue }
  }
  public var sysenterCallback: Callback {
    get { hot.pointee.sysenterCallback }
    set { hot.pointee.sysenterCallback = newValue }
  }
  /// The GS base that is not in use: the user one in kernel mode and the other way round.
  public var inactiveGSBase: UInt64 {
    get { hot.pointee.inactiveGSBase }
    set { hot.pointee.inactiveGSBase = newValue }
  }
  /// Virtual CR0.TS, CR2, CR4 (guest-set bits), IOPL.
  public var taskSwitched: Bool {
    get { hot.pointee.taskSwitched }
    set { hot.pointee.taskSwitched = newValue }
  }
  public var cr2: UInt64 {
    get { hot.pointee.cr2 }
    set { hot.pointee.cr2 = newValue }
  }
  public var cr4: UInt64 {
    get { hot.pointee.cr4 }
    set { hot.pointee.cr4 = newValue }
  }
  public var iopl: UInt8 {
    get { hot.pointee.iopl }
    set { hot.pointee.iopl = newValue }
  }
  /// In SCHEDOP_block, or in SCHEDOP_poll on `pollPorts`.
  public var blocked: Bool {
    get { hot.pointee.blocked }
    set { hot.pointee.blocked = newValue }
  }
  public var polling: Bool {
    get { hot.pointee.polling }
    set { hot.pointee.polling = newValue }
  }
  /// An NMI waits; one is being handled (until the next iret).
  var nmiPending: Bool {
    get { hot.pointee.nmiPending }
    set { hot.pointee.nmiPending = newValue }
  }
  var nmiInProgress: Bool {
    get { hot.pointee.nmiInProgress }
    set { hot.pointee.nmiInProgress = newValue }
  }
  var inMulticall: Bool {
    get { hot.pointee.inMulticall }
    set { hot.pointee.inMulticall = newValue }
  }

  /// Machine address of this vCPU's vcpu_info (64 bytes) and whether the guest has placed it. An address outside memory
  /// is not taken.
  public var vcpuInfo: UInt64 {
    get { hot.pointee.vcpuInfo }
    set {
      let memory = vcpu.memory
      guard newValue & 4095 <= 4096 - 64, memory.contains(newValue, 64) else { return }
      hot.pointee.vcpuInfo = newValue
      hot.pointee.info = memory.base + Int(newValue)
      hot.pointee.infoCode = UnsafePointer(memory.codeLines + Int(newValue >> 12))
    }
  }
  public var vcpuInfoPlaced = false
  /// Guest frames of the GDT and the number of entries; LDT likewise.
  public var gdtFrames: [UInt64] = [] {
    didSet {
      hot.pointee.gdtCount = min(gdtFrames.count, Self.gdtPages)
      for page in 0..<hot.pointee.gdtCount { hot.pointee.gdt[page] = gdtFrames[page] }
    }
  }
  /// Pages of a GDT at most.
  static let gdtPages = 16
  public var gdtEntries = 0
  public var ldtBase: UInt64 = 0
  public var ldtEntries = 0
  /// Guest virtual addresses of the runstate and time areas, 0 if none.
  public var runstateArea: UInt64 = 0
  public var timeArea: UInt64 = 0
  public var singleShotDeadline: UInt64?
  public var periodicPeriod: UInt64?
  public var pollPorts: [UInt32] = []
  /// Whether it has a context (VCPUOP_initialise, or the builder's) and is online (VCPUOP_up).
  public var initialised = true
  public var up = true
  /// Local port of each per-vCPU virtual interrupt, 0 if none.
  var virqPorts = [UInt32](repeating: 0, count: Int(VIRQ.count))
  var runstate = RunstateAccount()
  var msrs = ModelSpecificState()
  var ports = PortLatches()
  /// Bitmap of PHYSDEVOP_set_iobitmap: its guest address and number of ports.
  var ioBitmap: UInt64 = 0
  var ioBitmapPorts: UInt32 = 0
  /// The last exits, for crash reports.
  let history: ExitHistory

  public init(id: Int, vcpu: VCPU) {
    self.id = id
    self.vcpu = vcpu
    cpu = vcpu.cpu
    history = ExitHistory()
    traps = TrapTable(gates: .allocate(capacity: 256))
    traps.gates.initialize(repeating: TrapGate(), count: 256)
    exitServer = .allocate(capacity: 1)
    exitServer.initialize(to: ExitServer())
    hot = .allocate(capacity: 1)
    let gdt = UnsafeMutablePointer<UInt64>.allocate(capacity: Self.gdtPages)
    gdt.initialize(repeating: 0, count: Self.gdtPages)
    hot.initialize(
      to: Hot(gdt: gdt, memory: UnsafeRawPointer(vcpu.memory.base), info: vcpu.memory.base, infoCode: UnsafePointer(vcpu.memory.codeLines)))
  }

  deinit {
    vcpu.serveExits(context: nil, nil)
    exitServer.deallocate()
    traps.gates.deallocate()
    hot.pointee.gdt.deallocate()
    hot.deallocate()
  }
}

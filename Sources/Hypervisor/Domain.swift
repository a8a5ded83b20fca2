import Devices
import GuestMemory
import Processor

/// Names a domain. Paravane's guest is domain 1; the back ends speak as domain 0.
public struct DomainID: RawRepresentable, Hashable, Sendable, Codable {
  public var rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  public init(_ rawValue: UInt16) { self.rawValue = rawValue }
  public static let control = DomainID(0)
  public static let `self` = DomainID(0x7FF0)
  public static let io = DomainID(0x7FF1)
  public static let xen = DomainID(0x7FF2)
  public static let invalid = DomainID(0x7FF4)
}

/// What a domain needs from the machine that runs it. All of it happens in guest time, on the vCPU's thread.
public protocol DomainServices: AnyObject {
  /// The current cycle.
  var now: Cycles { get }
  /// Guest cycles per second.
  var cyclesPerSecond: UInt64 { get }
  /// Wall clock at cycle 0, nanoseconds since 1970.
  var wallClockAtStart: UInt64 { get }
  /// Asks for `Domain.timerFired(vcpu:kind:)` at a cycle; replaces the vCPU's earlier request of the same kind; nil cancels.
  func setTimer(vcpu: Int, kind: TimerKind, at cycle: Cycles?)
  /// console_io: text for the emergency console.
  func consoleWrite(_ bytes: [UInt8])
  /// The guest sent on a port whose other end is in this process (`EventChannels.bindBackEnd`).
  func eventSent(port: UInt32)
  /// The domain shut down (reason of sched.h) or crashed; the run loop ends.
  func domainEnded(_ reason: DomainEnd)
  /// Diagnostics.
  func log(_ message: @autoclosure () -> String)
}

public enum TimerKind: Int, Sendable, Codable, CaseIterable {
  case singleShot, periodic, poll
  /// SCHEDOP_watchdog; always asked for vCPU 0.
  case watchdog
}

public enum DomainEnd: Equatable, Sendable {
  /// SHUTDOWN_* of sched.h: 0 poweroff, 1 reboot, 2 suspend, 3 crash, 4 watchdog, 5 soft reset.
  case shutdown(reason: UInt32)
  /// Xen would have crashed the domain: what it did wrong.
  case crashed(String)
}

/// Six hypercall arguments: RDI, RSI, RDX, R10, R8, R9.
public struct HypercallArguments: Sendable, Equatable {
  public var a0, a1, a2, a3, a4, a5: UInt64
  public init(_ a0: UInt64 = 0, _ a1: UInt64 = 0, _ a2: UInt64 = 0, _ a3: UInt64 = 0, _ a4: UInt64 = 0, _ a5: UInt64 = 0) {
    (self.a0, self.a1, self.a2, self.a3, self.a4, self.a5) = (a0, a1, a2, a3, a4, a5)
  }
}

/// Error numbers of Xen's public errno.h; a hypercall returns them negated.
public enum XenError: Int64, Error, Sendable {
  case perm = 1, noEntry = 2, search = 3, io = 5, tooBig = 7, again = 11, noMemory = 12, access = 13, fault = 14, busy = 16, exists = 17,
    noDevice = 19, invalid = 22, noSpace = 28, domain = 33, noSys = 38, noData = 61, notSupported = 95, noDeviceAddress = 6
  public var result: Int64 { -rawValue }
}

/// One guest of the hypervisor: what belongs to a domain and to none of its vCPUs. The parts live in folders of their own:
/// `FrameTable` and `PageTables` (Memory/), `EventChannels` (EventChannels/), `GrantTable` (GrantTables/).
public final class Domain {
  public let id: DomainID
  public let memory: MachineMemory
  public let frames: FrameTable
  public let services: DomainServices
  public let pageTables: PageTables
  public var vcpus: [PVCPU] = [] {
    didSet { pageTables.attach(self) }
  }
  /// Machine frame of shared_info.
  public var sharedInfoFrame: UInt64 = 0
  public var events: EventChannels
  public var grants: GrantTable
  /// vm_assist: bit n is type n.
  public var assists: UInt64 = 0
  /// Pages given to the domain at start; XENMEM_maximum_reservation's base.
  public let initialPages: Int
  /// XENVER_guest_handle, 16 bytes.
  public var uuid: [UInt8] = Array(repeating: 0, count: 16)
  /// Set once the domain has ended: no vCPU of it runs again.
  public private(set) var ended: DomainEnd?
  /// The processor that CPUID shows.
  public var policy: CPUPolicy
  /// How cycles become the guest's nanoseconds.
  public let scale: TimeScale
  /// Hypercalls by number; the last element counts numbers of 64 and more.
  let hypercallCounters: UnsafeMutablePointer<UInt64>
  public var exits = ExitCounts()
  /// Called after every hypercall, if set: for tracing.
  public var hypercallTrace: ((PVCPU, UInt64, HypercallArguments, Int64) -> Void)?
  /// Deadlines of the two SCHEDOP_watchdog timers, nil while stopped.
  var watchdogs: [Cycles?] = [nil, nil]

  public init(id: DomainID, memory: MachineMemory, frames: FrameTable, initialPages: Int, services: DomainServices) {
    self.id = id
    self.memory = memory
    self.frames = frames
    pageTables = PageTables(frames: frames)
    self.initialPages = initialPages
    self.services = services
    events = EventChannels()
    grants = GrantTable()
    policy = CPUPolicy(level: .v3)
    scale = TimeScale(cyclesPerSecond: services.cyclesPerSecond)
    hypercallCounters = .allocate(capacity: HypercallTable.counters)
    hypercallCounters.initialize(repeating: 0, count: HypercallTable.counters)
    events.domain = self
    grants.domain = self
  }

  deinit { hypercallCounters.deallocate() }

  /// Ends the domain; the first cause stands.
  public func end(_ cause: DomainEnd) {
    guard ended == nil else { return }
    ended = cause
    services.domainEnded(cause)
  }

  /// What Xen does to a guest that it cannot go on with.
  public func crash(_ why: String) { end(.crashed(why)) }

  /// A blocked or polling vCPU runs on.
  func wake(_ v: PVCPU) {
    guard v.blocked else { return }
    v.blocked = false
    if v.polling {
      v.polling = false
      v.pollPorts.removeAll(keepingCapacity: true)
      services.setTimer(vcpu: v.id, kind: .poll, at: nil)
    }
    setRunstate(v, .running)
  }
}

/// What made the guest leave the processor, counted.
public struct ExitCounts: Sendable, Codable, Equatable {
  public var hypercall: UInt64 = 0
  /// User mode system calls: SYSCALL, SYSENTER, INT n.
  public var syscall: UInt64 = 0
  public var exception: UInt64 = 0
  public var privileged: UInt64 = 0
  public var port: UInt64 = 0
  /// Event upcalls delivered.
  public var event: UInt64 = 0
  public init() {}
}

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

/// What Xen keeps for a vCPU beside its architectural state.
public final class PVCPU {
  public let id: Int
  public let vcpu: VCPU
  /// The mode bit: guest kernel and guest user both run at CPL 3.
  public var kernelMode = true
  /// Machine frames of the two top-level tables; the user one is 0 until set.
  public var kernelTable: UInt64 = 0
  public var userTable: UInt64 = 0
  /// stack_switch.
  public var kernelSS: UInt16 = 0xE02B
  public var kernelSP: UInt64 = 0
  public var traps = [TrapGate](repeating: TrapGate(), count: 256)
  public var eventCallback = Callback()
  public var failsafeCallback = Callback()
  public var syscallCallback = Callback()
  public var syscall32Callback = Callback()
  public var sysenterCallback = Callback()
  /// The GS base that is not in use: the user one in kernel mode and the other way round.
  public var inactiveGSBase: UInt64 = 0
  /// Machine address of this vCPU's vcpu_info (64 bytes) and whether the guest has placed it.
  public var vcpuInfo: UInt64 = 0
  public var vcpuInfoPlaced = false
  /// Virtual CR0.TS, CR2, CR4 (guest-set bits), IOPL.
  public var taskSwitched = false
  public var cr2: UInt64 = 0
  public var cr4: UInt64 = 0
  public var iopl: UInt8 = 0
  /// Guest frames of the GDT and the number of entries; LDT likewise.
  public var gdtFrames: [UInt64] = []
  public var gdtEntries = 0
  public var ldtBase: UInt64 = 0
  public var ldtEntries = 0
  /// Guest virtual addresses of the runstate and time areas, 0 if none.
  public var runstateArea: UInt64 = 0
  public var timeArea: UInt64 = 0
  public var singleShotDeadline: UInt64?
  public var periodicPeriod: UInt64?
  /// In SCHEDOP_block, or in SCHEDOP_poll on `pollPorts`.
  public var blocked = false
  public var polling = false
  public var pollPorts: [UInt32] = []
  /// Whether it has a context (VCPUOP_initialise, or the builder's) and is online (VCPUOP_up).
  public var initialised = true
  public var up = true
  /// Local port of each per-vCPU virtual interrupt, 0 if none.
  var virqPorts = [UInt32](repeating: 0, count: Int(VIRQ.count))
  /// An NMI waits; one is being handled (until the next iret).
  var nmiPending = false
  var nmiInProgress = false
  var runstate = RunstateAccount()
  var msrs = ModelSpecificState()
  var ports = PortLatches()
  /// Bitmap of PHYSDEVOP_set_iobitmap: its guest address and number of ports.
  var ioBitmap: UInt64 = 0
  var ioBitmapPorts: UInt32 = 0
  var inMulticall = false
  /// The last exits, for crash reports.
  let history: ExitHistory

  public init(id: Int, vcpu: VCPU) {
    self.id = id
    self.vcpu = vcpu
    history = ExitHistory()
  }
}

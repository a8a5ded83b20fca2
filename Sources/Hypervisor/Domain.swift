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
  public let events: EventChannels
  public let grants: GrantTable
  /// vm_assist: bit n is type n.
  public var assists: UInt64 {
    get { hot.pointee.assists }
    set { hot.pointee.assists = newValue }
  }
  /// Pages given to the domain at start; XENMEM_maximum_reservation's base.
  public let initialPages: Int
  /// XENVER_guest_handle, 16 bytes.
  public var uuid: [UInt8] = Array(repeating: 0, count: 16)
  /// Set once the domain has ended: no vCPU of it runs again.
  public private(set) var ended: DomainEnd? { didSet { hot.pointee.ended = ended != nil } }
  /// The processor that CPUID shows.
  public var policy: CPUPolicy
  /// How cycles become the guest's nanoseconds.
  public let scale: TimeScale
  /// What every exit looks at, in plain memory as long as the domain lives: a class property costs an exclusivity check.
  let hot: UnsafeMutablePointer<Hot>
  struct Hot {
    var assists: UInt64 = 0
    var ended = false
    var traced = false
    var exits = ExitCounts()
    /// The machine's queue of events may have changed: its loop is to look at it before the guest goes on.
    var queueChanged = false
  }
  /// Hypercalls by number; the last element counts numbers of 64 and more.
  let hypercallCounters: UnsafeMutablePointer<UInt64>
  public var exits: ExitCounts { hot.pointee.exits }
  /// Called after every hypercall, if set: for tracing.
  public var hypercallTrace: ((PVCPU, UInt64, HypercallArguments, Int64) -> Void)? {
    didSet { hot.pointee.traced = hypercallTrace != nil }
  }
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
    hot = .allocate(capacity: 1)
    hot.initialize(to: Hot())
    hypercallCounters = .allocate(capacity: HypercallTable.counters)
    hypercallCounters.initialize(repeating: 0, count: HypercallTable.counters)
    events.domain = self
    grants.domain = self
  }

  deinit {
    hypercallCounters.deallocate()
    hot.deallocate()
  }

  /// Ends the domain; the first cause stands.
  public func end(_ cause: DomainEnd) {
    guard ended == nil else { return }
    ended = cause
    services.domainEnded(cause)
  }

  /// What Xen does to a guest that it cannot go on with.
  public func crash(_ why: String) { end(.crashed(why)) }

  /// Asks the machine for a timer; see `DomainServices.setTimer`.
  func setTimer(vcpu: Int, kind: TimerKind, at cycle: Cycles?) {
    hot.pointee.queueChanged = true
    services.setTimer(vcpu: vcpu, kind: kind, at: cycle)
  }

  /// A blocked or polling vCPU runs on.
  func wake(_ v: PVCPU) {
    guard v.blocked else { return }
    v.blocked = false
    if v.polling {
      v.polling = false
      v.pollPorts.removeAll(keepingCapacity: true)
      setTimer(vcpu: v.id, kind: .poll, at: nil)
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

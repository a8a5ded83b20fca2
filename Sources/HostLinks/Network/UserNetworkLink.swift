import CSlirp

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A forwarded port: connections to the host's side reach the guest's.
public struct PortForward: Sendable, Equatable {
  public var isUDP: Bool
  public var hostAddress: String
  public var hostPort: UInt16
  /// Empty: the address that DHCP gives out first.
  public var guestAddress: String
  public var guestPort: UInt16
  public init(isUDP: Bool, hostAddress: String, hostPort: UInt16, guestAddress: String, guestPort: UInt16) {
    self.isUDP = isUDP
    self.hostAddress = hostAddress
    self.hostPort = hostPort
    self.guestAddress = guestAddress
    self.guestPort = guestPort
  }
}

public enum NetworkLinkError: Error, Equatable, CustomStringConvertible {
  case unavailable(String)
  case portInUse(String)
  case badAddress(String)

  public var description: String {
    switch self {
    case .unavailable(let why): return why
    case .portInUse(let text): return "cannot forward \(text): is the port in use, or below 1024? Choose another"
    case .badAddress(let text): return "'\(text)' is no IPv4 address"
    }
  }
}

/// A network of its own for the guest, translated to the host's sockets: 10.0.2.0/24, gateway 10.0.2.2, name server
/// 10.0.2.3, DHCP from 10.0.2.15.
///
/// libslirp is not thread-safe: who uses it has the lock. The link's own thread waits for the host's sockets. A frame of the guest's is
/// worked on by the thread that sends it, as far as the host's socket, unless the link's thread is at work: then it goes into a queue
/// and a pipe wakes the thread. Frames for the guest go to `deliver`, which hands them to the machine's mailbox. The clock is the
/// guest's.
///
/// Invariants of the unsafe parts: `slirp`, `timers` and what lies between them and the sockets are touched by the holder of `lock` only,
/// `watched` by the link's thread while it polls and else by the holder of `lock`; `queueLock` guards `outgoing` and `stopping`;
/// the object is retained by its thread until that ends.
public final class UserNetworkLink: NetworkLink, @unchecked Sendable {
  public var receive: (([UInt8]) -> Void)?
  private var slirp: OpaquePointer?
  private var callbacks = SlirpCb()
  private let clock: @Sendable () -> Int64
  private let deliver: @Sendable ([UInt8]) -> Void
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let queueLock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var outgoing: [[UInt8]] = []
  private var stopping = false
  private var wakeRead: Int32 = -1
  private var wakeWrite: Int32 = -1
  /// What libslirp waits for now, and what the link's thread polls; until when (monotonic milliseconds).
  private var descriptors: [pollfd] = []
  private var watched: [pollfd] = []
  private var wakesAt: Int64 = .max
  /// Counts the changes of `descriptors` that the link's thread did not make.
  private var changes: UInt64 = 0
  /// Frames were given to libslirp since what it waits for was looked at.
  private var isStirred = false
  private var timers: [Timer] = []
  static let queueLimit = 1024

  private final class Timer {
    let identifier: SlirpTimerId
    let context: UnsafeMutableRawPointer?
    /// Guest milliseconds, or nil while it is not set.
    var expires: Int64?
    init(_ identifier: SlirpTimerId, _ context: UnsafeMutableRawPointer?) {
      self.identifier = identifier
      self.context = context
    }
  }

  /// - Parameters:
  ///   - clock: guest time in nanoseconds; called on the link's thread.
  ///   - deliver: a frame for the guest; called on the link's thread.
  public init(
    forwards: [PortForward], clock: @escaping @Sendable () -> Int64, deliver: @escaping @Sendable ([UInt8]) -> Void
  ) throws {
    self.clock = clock
    self.deliver = deliver
    pthread_mutex_init(lock, nil)
    pthread_mutex_init(queueLock, nil)
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw NetworkLinkError.unavailable("no pipe for the network: \(systemError())") }
    wakeRead = ends[0]
    wakeWrite = ends[1]
    for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    installCallbacks()
    var configuration = SlirpConfig()
    configuration.version = 4
    configuration.in_enabled = true
    configuration.vnetwork.s_addr = address(10, 0, 2, 0)
    configuration.vnetmask.s_addr = address(255, 255, 255, 0)
    configuration.vhost.s_addr = address(10, 0, 2, 2)
    configuration.vdhcp_start.s_addr = address(10, 0, 2, 15)
    configuration.vnameserver.s_addr = address(10, 0, 2, 3)
    configuration.in6_enabled = false
    slirp = "paravane".withCString { name in
      configuration.vhostname = name
      return slirp_new(&configuration, &callbacks, Unmanaged.passUnretained(self).toOpaque())
    }
    guard slirp != nil else { throw NetworkLinkError.unavailable("libslirp would not start") }
    for forward in forwards { try add(forward) }
    let link = Unmanaged.passRetained(self)
    let bits = UInt(bitPattern: link.toOpaque())
    startThread {
      let link = Unmanaged<UserNetworkLink>.fromOpaque(UnsafeRawPointer(bitPattern: bits)!).takeRetainedValue()
      link.serve()
    }
  }

  deinit {
    close(wakeRead)
    close(wakeWrite)
    for mutex in [lock, queueLock] {
      pthread_mutex_destroy(mutex)
      mutex.deallocate()
    }
  }

  /// libslirp ends at the host's socket: it takes a TCP packet of any size.
  public var acceptsLargeSegments: Bool { true }

  public func send(_ frame: [UInt8]) {
    if pthread_mutex_trylock(lock) == 0 {
      defer { pthread_mutex_unlock(lock) }
      guard slirp != nil else { return }
      inputQueued()
      input(frame)
      isStirred = true
      return
    }
    pthread_mutex_lock(queueLock)
    if outgoing.count < Self.queueLimit { outgoing.append(frame) }
    pthread_mutex_unlock(queueLock)
    wake()
  }

  /// Looks whether libslirp waits for something else now than its thread does.
  public func flush() {
    guard pthread_mutex_trylock(lock) == 0 else { return wake() }
    defer { pthread_mutex_unlock(lock) }
    guard isStirred, slirp != nil else { return }
    isStirred = false
    let until = Self.milliseconds &+ Int64(fill())
    let isSame =
      descriptors.count == watched.count
      && zip(descriptors, watched).allSatisfy { $0.fd == $1.fd && $0.events == $1.events } && until >= wakesAt
    guard !isSame else { return }
    changes &+= 1
    wake()
  }

  /// Ends the link's thread.
  public func stop() {
    pthread_mutex_lock(queueLock)
    stopping = true
    pthread_mutex_unlock(queueLock)
    wake()
  }

  /// Gives libslirp what waits. For the holder of `lock`. True: the link is to end.
  @discardableResult private func inputQueued() -> Bool {
    pthread_mutex_lock(queueLock)
    let frames = outgoing
    if !frames.isEmpty { outgoing.removeAll(keepingCapacity: true) }
    let stop = stopping
    pthread_mutex_unlock(queueLock)
    if !stop { for frame in frames { input(frame) } }
    return stop
  }

  private func input(_ frame: [UInt8]) {
    frame.withUnsafeBufferPointer { slirp_input(slirp, $0.baseAddress, Int32($0.count)) }
  }

  private static var milliseconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
  }

  private func wake() {
    var byte: UInt8 = 0
    _ = write(wakeWrite, &byte, 1)
  }

  private func address(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> UInt32 { (a << 24 | b << 16 | c << 8 | d).bigEndian }

  private func parse(_ text: String, empty: UInt32) throws -> in_addr {
    var result = in_addr()
    if text.isEmpty {
      result.s_addr = empty
    } else if inet_pton(AF_INET, text, &result) != 1 {
      throw NetworkLinkError.badAddress(text)
    }
    return result
  }

  private func add(_ forward: PortForward) throws {
    let host = try parse(forward.hostAddress, empty: address(127, 0, 0, 1))
    let guest = try parse(forward.guestAddress, empty: address(10, 0, 2, 15))
    if slirp_add_hostfwd(slirp, forward.isUDP ? 1 : 0, host, Int32(forward.hostPort), guest, Int32(forward.guestPort)) != 0 {
      throw NetworkLinkError.portInUse("\(forward.isUDP ? "udp" : "tcp"):\(forward.hostAddress):\(forward.hostPort)")
    }
  }

  private static func of(_ opaque: UnsafeMutableRawPointer?) -> UserNetworkLink {
    Unmanaged<UserNetworkLink>.fromOpaque(opaque!).takeUnretainedValue()
  }

  private func installCallbacks() {
    callbacks.send_packet = { bytes, count, opaque in
      let link = UserNetworkLink.of(opaque)
      link.deliver([UInt8](UnsafeRawBufferPointer(start: bytes, count: count)))
      return count
    }
    callbacks.guest_error = { _, _ in }
    callbacks.clock_get_ns = { UserNetworkLink.of($0).clock() }
    callbacks.timer_new_opaque = { identifier, context, opaque in
      let timer = Timer(identifier, context)
      UserNetworkLink.of(opaque).timers.append(timer)
      return Unmanaged.passUnretained(timer).toOpaque()
    }
    callbacks.timer_free = { timer, opaque in
      UserNetworkLink.of(opaque).timers.removeAll { Unmanaged.passUnretained($0).toOpaque() == timer }
    }
    callbacks.timer_mod = { timer, milliseconds, opaque in
      for candidate in UserNetworkLink.of(opaque).timers where Unmanaged.passUnretained(candidate).toOpaque() == timer {
        candidate.expires = milliseconds
      }
    }
    callbacks.register_poll_fd = { _, _ in }
    callbacks.unregister_poll_fd = { _, _ in }
    callbacks.notify = { UserNetworkLink.of($0).wake() }
    callbacks.init_completed = { _, _ in }
  }

  /// Asks libslirp what it waits for and how long at most, in milliseconds.
  private func fill() -> UInt32 {
    descriptors.removeAll(keepingCapacity: true)
    descriptors.append(pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0))
    var timeout: UInt32 = 1000
    slirp_pollfds_fill(
      slirp, &timeout, { descriptor, events, opaque in UserNetworkLink.of(opaque).watch(descriptor, events) },
      Unmanaged.passUnretained(self).toOpaque())
    return timeout
  }

  /// The link's thread.
  private func serve() {
    let opaque = Unmanaged.passUnretained(self).toOpaque()
    pthread_mutex_lock(lock)
    while true {
      let timeout = fill()
      watched = descriptors
      wakesAt = Self.milliseconds &+ Int64(timeout)
      let seen = changes
      pthread_mutex_unlock(lock)
      var polled = watched
      let result = poll(&polled, nfds_t(polled.count), Int32(timeout))
      if polled[0].revents != 0 {
        var drain = [UInt8](repeating: 0, count: 256)
        while read(wakeRead, &drain, drain.count) > 0 {}
      }
      pthread_mutex_lock(lock)
      // What was polled is what libslirp knows the numbers of, unless a sender has asked it again meanwhile.
      if changes == seen {
        descriptors = polled
        slirp_pollfds_poll(slirp, result < 0 ? 1 : 0, { index, opaque in UserNetworkLink.of(opaque).outcome(index) }, opaque)
      }
      if inputQueued() { break }
      let now = clock() / 1_000_000
      for timer in timers {
        guard let expires = timer.expires, expires <= now else { continue }
        timer.expires = nil
        slirp_handle_timer(slirp, timer.identifier, timer.context)
      }
    }
    slirp_cleanup(slirp)
    slirp = nil
    pthread_mutex_unlock(lock)
  }

  private func watch(_ descriptor: Int32, _ events: Int32) -> Int32 {
    var wanted: Int32 = 0
    if events & Int32(SLIRP_POLL_IN) != 0 { wanted |= Int32(POLLIN) }
    if events & Int32(SLIRP_POLL_OUT) != 0 { wanted |= Int32(POLLOUT) }
    if events & Int32(SLIRP_POLL_PRI) != 0 { wanted |= Int32(POLLPRI) }
    descriptors.append(pollfd(fd: descriptor, events: Int16(wanted), revents: 0))
    return Int32(descriptors.count - 1)
  }

  private func outcome(_ index: Int32) -> Int32 {
    guard descriptors.indices.contains(Int(index)) else { return 0 }
    let events = Int32(descriptors[Int(index)].revents)
    var result = 0
    if events & Int32(POLLIN) != 0 { result |= SLIRP_POLL_IN }
    if events & Int32(POLLOUT) != 0 { result |= SLIRP_POLL_OUT }
    if events & Int32(POLLPRI) != 0 { result |= SLIRP_POLL_PRI }
    if events & Int32(POLLERR) != 0 { result |= SLIRP_POLL_ERR }
    if events & Int32(POLLHUP) != 0 { result |= SLIRP_POLL_HUP }
    return Int32(result)
  }
}

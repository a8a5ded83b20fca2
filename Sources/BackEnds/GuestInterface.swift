import Devices
import Xenstore

/// A page of the guest that a back end may use: through a grant, or because the toolstack shared it (console, store).
public struct GrantedPage: Sendable, Equatable, Hashable, Codable {
  /// Machine address of the page's first byte.
  public var address: UInt64
  /// Whatever the interface needs to give the page back.
  public var handle: UInt64
  public init(address: UInt64, handle: UInt64) {
    self.address = address
    self.handle = handle
  }
}

/// Bytes of the page of a grant.
public struct GrantedBytes: Sendable, Equatable {
  public var reference: UInt32
  /// 0 ..< 4096 at most.
  public var bytes: Range<Int>
  public init(reference: UInt32, bytes: Range<Int>) {
    self.reference = reference
    self.bytes = bytes
  }
}

/// A back end's end of an event channel. The tag tells it from a later binding of the same port, which the guest may have closed
/// and allocated anew.
public struct PortBinding: Sendable, Equatable, Hashable, Codable {
  public var port: UInt32
  public var tag: UInt64
  public init(port: UInt32, tag: UInt64) {
    self.port = port
    self.tag = tag
  }
}

/// What back ends need of the domain they serve. All of it happens on the vCPU's thread, except `hostIsDone`.
///
/// Everything read through it is the guest's to change at any time: read once, then decide.
public protocol GuestInterface: AnyObject {
  var domain: DomainNumber { get }
  var now: Cycles { get }
  var cyclesPerSecond: UInt64 { get }

  /// Maps the page of a grant given to domain 0; nil if there is no such grant, it is read-only and `write` is asked, or the
  /// frame is not the guest's. The guest cannot revoke it until it is unmapped.
  func mapGrant(_ reference: UInt32, write: Bool) -> GrantedPage?
  func unmapGrant(_ page: GrantedPage)

  /// Copies guest memory out; false (the buffer as it was) outside memory.
  func copyOut(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool
  /// Copies bytes into guest memory; false outside memory.
  func copyIn(_ bytes: UnsafeRawBufferPointer, at address: UInt64) -> Bool

  /// Host memory of bytes of granted pages, in their order, to be used at once, on this thread, as if each grant were mapped and
  /// unmapped again before the guest goes on; neighbours are joined. nil where one of them would not be mapped or copied, and for
  /// guests that have no such memory.
  func grantedMemory(_ parts: [GrantedBytes], forWriting: Bool) -> [UnsafeMutableRawBufferPointer]?

  /// Takes the other end of a port that the guest allocated for domain 0; nil if there is none. `handler` is called each
  /// time the guest sends on it, synchronously. What was sent before is lost: look at the ring once.
  func bindPort(_ port: UInt32, handler: @escaping () -> Void) -> PortBinding?
  func unbindPort(_ binding: PortBinding)
  /// Raises the guest's port, if it still is the one that was bound.
  func notify(_ binding: PortBinding)

  /// Asks for `BackEndHub.complete(token)` at a cycle.
  func schedule(at cycle: Cycles, token: UInt64)
  /// Nil on the virtual clock, where a request completes at a cycle fixed when it is made. On the host's clock: how an I/O thread
  /// says that a request is done; the mailbox then leads to `BackEndHub.complete(token)`. Safe on any thread.
  var hostIsDone: (@Sendable (UInt64) -> Void)? { get }
  /// Diagnostics: what a guest did wrong.
  func log(_ message: @autoclosure () -> String)
}

extension GuestInterface {
  public func grantedMemory(_ parts: [GrantedBytes], forWriting: Bool) -> [UnsafeMutableRawBufferPointer]? { nil }

  /// Cycles of a span of guest time.
  func cycles(nanoseconds: UInt64) -> Cycles {
    let wide = nanoseconds.multipliedFullWidth(by: cyclesPerSecond)
    guard wide.high < 1_000_000_000 else { return .max }
    return (1_000_000_000 as UInt64).dividingFullWidth(wide).quotient
  }
}

import Devices
import GuestMemory
import Hypervisor
import Xenstore

/// The guest of the hypervisor, as back ends see it.
public final class DomainGuest: GuestInterface {
  public let target: Domain
  /// Asks the machine for `BackEndHub.complete(token)` at a cycle.
  private let scheduler: (Cycles, UInt64) -> Void
  public let hostIsDone: (@Sendable (UInt64) -> Void)?
  private var handlers: [UInt64: () -> Void] = [:]
  private var nextTag: UInt64 = 1

  /// - Parameters:
  ///   - schedule: called with a cycle and the token that is to come back then.
  ///   - hostIsDone: nil under the virtual clock; else posts a token to the machine's mailbox, from any thread.
  public init(
    _ target: Domain, schedule: @escaping (Cycles, UInt64) -> Void, hostIsDone: (@Sendable (UInt64) -> Void)? = nil
  ) {
    self.target = target
    scheduler = schedule
    self.hostIsDone = hostIsDone
  }

  public var domain: DomainNumber { target.id.rawValue }
  public var now: Cycles { target.services.now }
  public var cyclesPerSecond: UInt64 { target.services.cyclesPerSecond }

  private static let writeBit: UInt64 = 1 << 32

  public func mapGrant(_ reference: UInt32, write: Bool) -> GrantedPage? {
    guard case .success(let address) = target.grants.mapForBackEnd(target, reference, write: write) else { return nil }
    return GrantedPage(address: address, handle: UInt64(reference) | (write ? Self.writeBit : 0))
  }

  public func unmapGrant(_ page: GrantedPage) {
    let reference = UInt32(truncatingIfNeeded: page.handle)
    target.grants.unmapForBackEnd(target, reference, write: page.handle & Self.writeBit != 0)
  }

  // A mapping does not keep the guest from giving the frame another use, so its use is looked at whenever the frame is touched:
  // a page table is never written by a back end, and what has become Xen's is neither read nor written.

  public func copyOut(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    eachFrame(address, buffer.count) { target.frames.isGuestFrame($0) } && target.memory.copyOut(address, into: buffer)
  }

  public func copyIn(_ bytes: UnsafeRawBufferPointer, at address: UInt64) -> Bool {
    eachFrame(address, bytes.count) { target.frames.mayWrite($0) } && target.memory.copyIn(bytes, at: address)
  }

  public func grantedMemory(_ parts: [GrantedBytes], forWriting: Bool) -> [UnsafeMutableRawBufferPointer]? {
    let domain = target
    let grants = domain.grants
    let memory = domain.memory
    var pieces: [UnsafeMutableRawBufferPointer] = []
    pieces.reserveCapacity(parts.count)
    var start: UnsafeMutableRawPointer?
    var count = 0
    for part in parts {
      guard let page = grants.pageForBackEnd(domain, part.reference, write: forWriting), part.bytes.upperBound <= 4096 else { return nil }
      let address = page &+ UInt64(truncatingIfNeeded: part.bytes.lowerBound)
      let piece: UnsafeMutableRawPointer?
      if forWriting {
        piece = memory.writable(address, part.bytes.count)?.baseAddress
      } else {
        piece = memory.readable(address, part.bytes.count)?.baseAddress.map { UnsafeMutableRawPointer(mutating: $0) }
      }
      guard let piece else { return nil }
      if let known = start, known + count == piece {
        count &+= part.bytes.count
        continue
      }
      if let known = start { pieces.append(UnsafeMutableRawBufferPointer(start: known, count: count)) }
      start = piece
      count = part.bytes.count
    }
    if let known = start { pieces.append(UnsafeMutableRawBufferPointer(start: known, count: count)) }
    return pieces
  }

  private func eachFrame(_ address: UInt64, _ count: Int, _ allows: (UInt64) -> Bool) -> Bool {
    let (end, overflow) = address.addingReportingOverflow(UInt64(count))
    guard !overflow, count > 0 else { return count == 0 }
    var frame = address >> 12
    while frame <= (end - 1) >> 12 {
      guard allows(frame) else { return false }
      frame += 1
    }
    return true
  }

  public func bindPort(_ port: UInt32, handler: @escaping () -> Void) -> PortBinding? {
    let tag = nextTag
    guard target.events.bindBackEnd(port: port, tag: tag) else { return nil }
    nextTag += 1
    handlers[tag] = handler
    return PortBinding(port: port, tag: tag)
  }

  public func unbindPort(_ binding: PortBinding) {
    handlers[binding.tag] = nil
    guard target.events.backEndTag(port: binding.port) == binding.tag else { return }
    target.events.closeBackEnd(port: binding.port)
  }

  public func notify(_ binding: PortBinding) {
    guard target.events.backEndTag(port: binding.port) == binding.tag else { return }
    target.events.notifyGuest(port: binding.port)
  }

  public func schedule(at cycle: Cycles, token: UInt64) { scheduler(cycle, token) }

  public func log(_ message: @autoclosure () -> String) { target.services.log(message()) }

  /// `DomainServices.eventSent`: the guest sent on a port that a back end has bound.
  public func eventSent(port: UInt32) {
    guard let tag = target.events.backEndTag(port: port) else { return }
    handlers[tag]?()
  }
}

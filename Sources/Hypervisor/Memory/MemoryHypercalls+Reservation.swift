import GuestMemory
import Processor

extension MemoryHypercalls {
  // MARK: 12 memory_op

  /// What a domU may ask for at once: 1 << 9 pages.
  private static let largestOrder: UInt32 = 9

  /// memory_op(sub-operation, argument): public/memory.h. Bits 6 and up of the first count the extents already done.
  public static func memoryOp(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    let start = a.a0 >> 6
    let sub = a.a0 & 63
    switch sub {
    case 0, 1, 6: return reservation(domain, v, Int(sub), a.a1, start)
    case 11: return start == 0 ? exchange(domain, v, a.a1) : XenError.noSys.result
    default: break
    }
    guard start == 0 else { return XenError.noSys.result }
    switch sub {
    case 2: return Int64(domain.frames.frameCount)
    case 3, 4, 14: return amount(domain, v, sub, a.a1)
    case 5: return machphysList(domain, v, a.a1)
    case 7:
      // A domain with its own view of machine memory has no physmap to add to.
      guard let id: UInt16 = v.vcpu.readGuest(a.a1) else { return XenError.fault.result }
      return anyDomain(id, domain) == .unknown ? XenError.search.result : XenError.access.result
    case 9: return memoryMap(domain, v, a.a1)
    case 10: return XenError.perm.result
    case 12:
      let values = [FrameTable.m2pLinearAddress, FrameTable.m2pLinearEnd, FrameTable.m2pLastFrame]
      return write(values, at: a.a1, v) ? 0 : XenError.fault.result
    default: return XenError.noSys.result
    }
  }

  private static func write(_ values: [UInt64], at linear: UInt64, _ v: PVCPU) -> Bool {
    values.withUnsafeBytes { v.vcpu.writeGuest(linear, from: $0) }
  }

  /// current_reservation, maximum_reservation, maximum_gpfn: argument is a pointer to a domain id.
  private static func amount(_ domain: Domain, _ v: PVCPU, _ sub: UInt64, _ argument: UInt64) -> Int64 {
    guard let id: UInt16 = v.vcpu.readGuest(argument) else { return XenError.fault.result }
    switch anyDomain(id, domain) {
    case .own: break
    case .forbidden, .io: return XenError.perm.result
    case .unknown: return XenError.search.result
    }
    if sub == 3 { return Int64(domain.frames.currentPages) }
    if sub == 4 { return Int64(domain.frames.maximumPages) }
    // shared_info.arch.max_pfn, which the guest writes.
    let maxPFN: UInt64 = domain.memory.load(domain.sharedInfoFrame << 12 + 0xC10) ?? 0
    return Int64(truncatingIfNeeded: maxPFN)
  }

  /// memory_map {nr_entries, buffer}: one region of RAM, 20 bytes.
  private static func memoryMap(_ domain: Domain, _ v: PVCPU, _ argument: UInt64) -> Int64 {
    guard let room: UInt32 = v.vcpu.readGuest(argument), let buffer: UInt64 = v.vcpu.readGuest(argument &+ 8) else {
      return XenError.fault.result
    }
    if room > 0 {
      let end = UInt64(domain.frames.maximumPages - FrameTable.slackPages) << 12
      guard v.vcpu.writeGuest(buffer, 0 as UInt64), v.vcpu.writeGuest(buffer &+ 8, end),
        v.vcpu.writeGuest(buffer &+ 16, 1 as UInt32)
      else { return XenError.fault.result }
    }
    return v.vcpu.writeGuest(argument, min(room, 1)) ? 0 : XenError.fault.result
  }

  /// machphys_mfn_list {max_extents, extent_start, nr_extents}: the frames that hold the M2P, one per 2 MiB.
  private static func machphysList(_ domain: Domain, _ v: PVCPU, _ argument: UInt64) -> Int64 {
    guard let room: UInt32 = v.vcpu.readGuest(argument), let list: UInt64 = v.vcpu.readGuest(argument &+ 8) else {
      return XenError.fault.result
    }
    let frames = domain.frames
    var done: UInt32 = 0
    while done < room, Int(done) * 512 < frames.m2pFrames {
      let mfn = frames.m2pBase &+ UInt64(done) &* 512
      guard v.vcpu.writeGuest(list &+ UInt64(done) &* 8, mfn) else { return XenError.fault.result }
      done &+= 1
    }
    return v.vcpu.writeGuest(argument &+ 16, done) ? 0 : XenError.fault.result
  }

  /// struct xen_memory_reservation, 32 bytes.
  private struct Reservation {
    var list: UInt64
    var count: UInt64
    var order: UInt32
    var flags: UInt32
    var domain: UInt16
    var addressBits: Int { Int(flags & 0xFF) }

    init?(_ v: PVCPU, _ at: UInt64) {
      guard let list: UInt64 = v.vcpu.readGuest(at), let count: UInt64 = v.vcpu.readGuest(at &+ 8),
        let order: UInt32 = v.vcpu.readGuest(at &+ 16), let flags: UInt32 = v.vcpu.readGuest(at &+ 20),
        let domain: UInt16 = v.vcpu.readGuest(at &+ 24)
      else { return nil }
      (self.list, self.count, self.order, self.flags, self.domain) = (list, count, order, flags, domain)
    }
  }

  /// increase_reservation, decrease_reservation, populate_physmap: the number of extents done, never an error.
  private static func reservation(_ domain: Domain, _ v: PVCPU, _ sub: Int, _ at: UInt64, _ start: UInt64) -> Int64 {
    let none = Int64(truncatingIfNeeded: start)
    guard let r = Reservation(v, at), r.count <= UInt64(UInt32.max >> 6), start < r.count, r.order <= largestOrder,
      anyDomain(r.domain, domain) == .own
    else { return none }
    let pages = UInt64(1) << UInt64(r.order)
    let frames = domain.frames
    var done = start
    while done < r.count {
      let slot = r.list &+ done &* 8
      if sub == 1 {
        guard let first: UInt64 = v.vcpu.readGuest(slot) else { break }
        var n: UInt64 = 0
        while n < pages, frames.release(first &+ n) { n += 1 }
        if n < pages { break }
      } else {
        var pfn: UInt64 = 0
        if sub == 6 {
          guard let asked: UInt64 = v.vcpu.readGuest(slot) else { break }
          pfn = asked
        }
        guard let first = frames.allocateGuestFrame(order: Int(r.order), addressBits: r.addressBits) else { break }
        if sub == 6 { for n in 0..<pages { frames.setM2P(first + n, pfn &+ n) } }
        if sub == 6 || r.list != 0 {
          guard v.vcpu.writeGuest(slot, first) else { break }
        }
      }
      done += 1
    }
    return Int64(truncatingIfNeeded: done)
  }

  /// exchange {in, out, nr_exchanged}: gives extents for others of another size or place.
  private static func exchange(_ domain: Domain, _ v: PVCPU, _ at: UInt64) -> Int64 {
    guard let input = Reservation(v, at), let output = Reservation(v, at &+ 32),
      let before: UInt64 = v.vcpu.readGuest(at &+ 64)
    else { return XenError.fault.result }
    var exchanged = before
    let result = exchange(domain, v, input, output, &exchanged)
    guard v.vcpu.writeGuest(at &+ 64, exchanged) else { return XenError.fault.result }
    return result
  }

  private static func exchange(
    _ domain: Domain, _ v: PVCPU, _ input: Reservation, _ output: Reservation, _ exchanged: inout UInt64
  ) -> Int64 {
    guard input.order <= largestOrder, output.order <= largestOrder else { return XenError.perm.result }
    let inputShift = UInt64(input.order)
    let outputShift = UInt64(output.order)
    guard exchanged <= input.count, input.domain == output.domain, input.count <= UInt64.max >> inputShift,
      output.count <= UInt64.max >> outputShift, input.count << inputShift == output.count << outputShift
    else { return XenError.invalid.result }
    switch anyDomain(input.domain, domain) {
    case .own: break
    case .forbidden, .io: return XenError.perm.result
    case .unknown: return XenError.search.result
    }
    let frames = domain.frames
    // A chunk is the larger of the two extents.
    let chunkShift = max(inputShift, outputShift)
    let inputs = UInt64(1) << (chunkShift - inputShift)
    let outputs = UInt64(1) << (chunkShift - outputShift)
    let chunks = input.count / inputs
    var chunk = exchanged / inputs
    while chunk < chunks {
      exchanged = chunk * inputs
      var given: [UInt64] = []
      for n in 0..<inputs {
        guard let first: UInt64 = v.vcpu.readGuest(input.list &+ (chunk &* inputs &+ n) &* 8) else {
          return XenError.fault.result
        }
        for page in 0..<(UInt64(1) << inputShift) { given.append(first &+ page) }
      }
      // Only pages that nothing refers to can go, and none twice.
      guard given.allSatisfy({ frames.isUnreferenced($0) }), Set(given).count == given.count else {
        return XenError.invalid.result
      }
      var taken: [UInt64] = []
      for _ in 0..<outputs {
        guard let first = frames.allocateForExchange(order: Int(outputShift), addressBits: output.addressBits) else {
          for first in taken { frames.undoExchange(first, count: 1 << outputShift) }
          return XenError.noMemory.result
        }
        taken.append(first)
      }
      for mfn in given { _ = frames.release(mfn) }
      frames.finishExchange(pages: given.count)
      for (n, first) in taken.enumerated() {
        let slot = output.list &+ (chunk &* outputs &+ UInt64(n)) &* 8
        guard let pfn: UInt64 = v.vcpu.readGuest(slot) else { return XenError.fault.result }
        for page in 0..<(UInt64(1) << outputShift) { frames.setM2P(first + page, pfn &+ page) }
        guard v.vcpu.writeGuest(slot, first) else { return XenError.fault.result }
      }
      chunk += 1
    }
    exchanged = input.count
    return 0
  }
}

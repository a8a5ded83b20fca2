import CHost
import GuestMemory

@testable import Hypervisor
@testable import Processor

final class SilentServices: DomainServices {
  var now: UInt64 { 0 }
  var cyclesPerSecond: UInt64 { 1_000_000_000 }
  var wallClockAtStart: UInt64 { 0 }
  func setTimer(vcpu: Int, kind: TimerKind, at cycle: UInt64?) {}
  func consoleWrite(_ bytes: [UInt8]) {}
  func eventSent(port: UInt32) {}
  func domainEnded(_ reason: DomainEnd) {}
  func log(_ message: @autoclosure () -> String) {}
}

/// A domain of 64 pages with one vCPU. Pages 60 to 63 are L4, L3, L2, L1; all 64 are mapped at `base`, tables read-only.
final class MemoryFixture {
  static let base: UInt64 = 0xFFFF_8880_0000_0000
  static let pages = 64
  let services = SilentServices()
  let memory: MachineMemory
  let frames: FrameTable
  let domain: Domain
  let v: PVCPU
  var tables: PageTables { domain.pageTables }

  init(order: FrameOrder = .identity, vcpus: Int = 1) throws {
    memory = try MachineMemory(frameCount: FrameTable.machineFramesNeeded(guestPages: Self.pages, order: order))
    frames = try FrameTable(memory: memory, guestPages: Self.pages, order: order)
    domain = Domain(id: DomainID(1), memory: memory, frames: frames, initialPages: Self.pages, services: services)
    for n in 0..<vcpus {
      let v = PVCPU(id: n, vcpu: VCPU(memory: memory))
      v.vcpu.cpu.pointee.cr0 = 0x8005_0033
      v.vcpu.cpu.pointee.efer = 0xD01
      v.vcpu.cpu.pointee.cpl = 3
      domain.vcpus.append(v)
    }
    v = domain.vcpus[0]
    domain.sharedInfoFrame = frames.allocateXenFrame()!
    let b = Self.base
    raw(60, Int(b >> 39) & 511, mfn(61) << 12 | 0x67)
    raw(61, 0, mfn(62) << 12 | 0x67)
    raw(62, 0, mfn(63) << 12 | 0x67)
    for n in 0..<60 { raw(63, n, mfn(n) << 12 | 0x23) }
    for n in 60..<64 { raw(63, n, mfn(n) << 12 | 0x21) }
    precondition(PageTables.pinInitial(domain, l4: mfn(60)))
    for v in domain.vcpus { precondition(tables.loadTables(v, kernel: mfn(60)) == 0) }
  }

  func mfn(_ pfn: Int) -> UInt64 { frames.machineFrame(of: pfn)! }

  /// Writes an entry of a page that is no table (yet).
  func raw(_ pfn: Int, _ index: Int, _ entry: UInt64) { memory.store(entry, at: mfn(pfn) << 12 + UInt64(index * 8)) }
  func entry(_ pfn: Int, _ index: Int) -> UInt64 { memory.load(mfn(pfn) << 12 + UInt64(index * 8))! }
  func linear(_ pfn: Int, _ offset: Int = 0) -> UInt64 { Self.base + UInt64(pfn * 4096 + offset) }
  func address(_ pfn: Int, _ index: Int) -> UInt64 { mfn(pfn) << 12 + UInt64(index * 8) }

  // Arguments are put in page 0.
  @discardableResult func put(_ words: [UInt64], at offset: Int = 0) -> UInt64 {
    for (n, word) in words.enumerated() { memory.store(word, at: mfn(0) << 12 + UInt64(offset + n * 8)) }
    return linear(0, offset)
  }
  func word(_ offset: Int) -> UInt64 { memory.load(mfn(0) << 12 + UInt64(offset))! }

  func mmu(_ pointer: UInt64, _ value: UInt64, domain id: UInt64 = 0x7FF0) -> Int64 {
    MemoryHypercalls.mmuUpdate(domain, v, HypercallArguments(put([pointer, value]), 1, 0, id))
  }
  func ext(_ command: UInt64, _ arg1: UInt64 = 0, _ arg2: UInt64 = 0, domain id: UInt64 = 0x7FF0) -> Int64 {
    MemoryHypercalls.mmuextOp(domain, v, HypercallArguments(put([command, arg1, arg2]), 1, 0, id))
  }
  func map(_ linear: UInt64, _ entry: UInt64, flags: UInt64 = 0) -> Int64 {
    MemoryHypercalls.updateVAMapping(domain, v, HypercallArguments(linear, entry, flags))
  }
  func memoryOp(_ sub: UInt64, _ argument: UInt64) -> Int64 {
    MemoryHypercalls.memoryOp(domain, v, HypercallArguments(sub, argument))
  }
  /// Makes a page read-only in the map of all pages.
  @discardableResult func protect(_ pfn: Int) -> Int64 { map(linear(pfn), mfn(pfn) << 12 | 0x21) }
  @discardableResult func unprotect(_ pfn: Int) -> Int64 { map(linear(pfn), mfn(pfn) << 12 | 0x23) }
}

extension VCPU {
  /// Accesses an address as the guest does, so that the translation is held.
  func touch(_ linear: UInt64) {
    _ = translateData(linear, .read, stack: false)
    _ = translateData(linear, .write, stack: false)
  }
}

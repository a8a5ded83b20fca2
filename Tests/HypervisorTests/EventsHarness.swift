import CHost
import Devices
import GuestMemory
import Processor
import Testing

@testable import Hypervisor

/// A machine that only notes what it is asked for; its clock is set by the test.
final class NotingServices: DomainServices {
  var now: Cycles = 0
  var cyclesPerSecond: UInt64 = 1_000_000_000
  var wallClockAtStart: UInt64 = 1_767_225_600_123_456_789
  var timers: [String: Cycles] = [:]
  var console: [UInt8] = []
  var sent: [UInt32] = []
  func setTimer(vcpu: Int, kind: TimerKind, at cycle: Cycles?) { timers["\(vcpu).\(kind)"] = cycle }
  func consoleWrite(_ bytes: [UInt8]) { console += bytes }
  func eventSent(port: UInt32) { sent.append(port) }
  func domainEnded(_ reason: DomainEnd) {}
  func log(_ message: @autoclosure () -> String) {}
}

/// A domain of 64 pages with its memory mapped at `base`, every page writable, kernel and user tables apart but alike.
final class EventsHarness {
  static let base: UInt64 = 0x40_0000
  let services = NotingServices()
  let domain: Domain
  var v: PVCPU { domain.vcpus[0] }
  var cpu: CPU { v.vcpu.cpu }

  /// Linear addresses of pages for the tests' own use.
  static let scratch = base + 16 * 4096
  static let kernelStackTop = base + 24 * 4096
  static let userStackTop = base + 32 * 4096
  static let code = base + 40 * 4096
  static let gdtPage: UInt64 = 6

  init(vcpus: Int = 1, level: CPUPolicy.Level = .v3) throws {
    let pages = 64
    let memory = try MachineMemory(frameCount: FrameTable.machineFramesNeeded(guestPages: pages))
    let frames = try FrameTable(memory: memory, guestPages: pages)
    domain = Domain(id: DomainID(1), memory: memory, frames: frames, initialPages: pages, services: services)
    domain.policy = CPUPolicy(level: level)
    domain.sharedInfoFrame = try #require(frames.allocateXenFrame())
    domain.vcpus = (0..<vcpus).map { PVCPU(id: $0, vcpu: VCPU(memory: memory)) }
    // L4 in frame 0 (kernel) and 4 (user), L3 1, L2 2 (slot 2 is 0x400000), L1 3.
    for root in [UInt64(0), 4] { memory.store(UInt64(0x1067), at: root << 12) }
    memory.store(UInt64(0x2067), at: 0x1000)
    memory.store(UInt64(0x3067), at: 0x2000 + 2 * 8)
    for page in 0..<UInt64(pages) { memory.store(page << 12 | 0x67, at: 0x3000 + page * 8) }
    for v in domain.vcpus {
      v.kernelTable = 0
      v.userTable = 4
      v.installArchitecture(domain)
      v.vcpu.setPageTableBase(0)
      v.loadFlatSegments()
      v.kernelSP = Self.kernelStackTop
      v.vcpu.cpu.rflags = 0x202
      v.vcpu.cpu.pointee.gpr.4 = Self.kernelStackTop - 0x800
      v.vcpu.cpu.pointee.rip = Self.code
      v.gdtFrames = [Self.gdtPage]
      v.gdtEntries = 16
    }
    // Linux's descriptors: kernel code and data, user 32-bit code, data, 64-bit code.
    let gdt: [UInt64] = [
      0, 0, 0x00AF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF,
    ]
    for (index, descriptor) in gdt.enumerated() { memory.store(descriptor, at: Self.gdtPage << 12 + UInt64(index) * 8) }
    domain.initialiseSharedInfo()
  }

  /// Makes a hypercall as the guest kernel would.
  @discardableResult func call(_ number: UInt64, _ a: UInt64...) -> Int64 {
    func argument(_ index: Int) -> UInt64 { index < a.count ? a[index] : 0 }
    cpu.pointee.gpr.0 = number
    cpu.pointee.gpr.7 = argument(0)
    cpu.pointee.gpr.6 = argument(1)
    cpu.pointee.gpr.2 = argument(2)
    cpu.pointee.gpr.10 = argument(3)
    cpu.pointee.gpr.8 = argument(4)
    cpu.pointee.gpr.9 = argument(5)
    domain.handle(.syscall, v)
    return Int64(bitPattern: cpu.pointee.gpr.0)
  }

  func put<T: FixedWidthInteger>(_ value: T, _ offset: UInt64 = 0) { _ = v.vcpu.writeGuest(Self.scratch + offset, value) }
  func get<T: FixedWidthInteger>(_ offset: UInt64 = 0, _: T.Type = T.self) -> T { v.vcpu.readGuest(Self.scratch + offset) ?? 0 }

  func put(code bytes: [UInt8]) {
    _ = bytes.withUnsafeBytes { v.vcpu.writeGuest(Self.code, from: $0) }
    cpu.pointee.rip = Self.code
  }

  func shared<T: FixedWidthInteger>(_ offset: UInt64, _: T.Type = T.self) -> T {
    domain.memory.load(domain.sharedInfoFrame << 12 + offset) ?? 0
  }
  func setShared<T: FixedWidthInteger>(_ offset: UInt64, _ value: T) {
    domain.memory.store(value, at: domain.sharedInfoFrame << 12 + offset)
  }

  /// Word `index` of the frame at RSP.
  func frame(_ index: UInt64) -> UInt64 { v.vcpu.readGuest(cpu.pointee.gpr.4 &+ index * 8) ?? 0xDEAD }

  /// Registers a handler for a vector, without masking.
  func handler(_ vector: Int, _ address: UInt64, dpl: UInt8 = 0, masks: Bool = false) {
    var gate = TrapGate()
    gate.address = address
    gate.dpl = dpl
    gate.masksEvents = masks
    v.traps[vector] = gate
  }

  /// Puts the vCPU in user mode as an iret would.
  func enterUser() {
    v.toggleMode()
    cpu.pointee.gpr.4 = Self.userStackTop
  }
}

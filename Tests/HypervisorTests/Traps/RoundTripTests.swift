import CHost
import Processor
import Testing

@testable import Hypervisor

/// Guest code on the processor: kernel and user mode, system calls, faults and events there and back.
struct RoundTripTests {
  let h: EventsHarness
  init() throws { h = try EventsHarness() }

  private static let kernel: [UInt8] = [
    // The kernel, at +0: an iret frame for user mode on its stack, then iret.
    0x68, 0x2B, 0xE0, 0x00, 0x00,  // push 0xe02b
    0x68, 0x00, 0x00, 0x42, 0x00,  // push user stack
    0x68, 0x02, 0x02, 0x00, 0x00,  // push 0x202
    0x68, 0x33, 0xE0, 0x00, 0x00,  // push 0xe033
    0x68, 0x00, 0x90, 0x42, 0x00,  // push 0x429000: user code
    0x6A, 0x00, 0x6A, 0x00, 0x6A, 0x00, 0x6A, 0x00,  // flags, rcx, r11, rax
    0xB8, 0x17, 0x00, 0x00, 0x00, 0x0F, 0x05,  // mov eax, 23; syscall
  ]
  // The system call handler: counts in RBX, drops RCX and R11, makes an iret frame of what is left, and returns.
  private static let handler: [UInt8] = [
    0x48, 0xFF, 0xC3,  // inc rbx
    0x59, 0x41, 0x5B,  // pop rcx; pop r11
    0x6A, 0x00, 0x51, 0x41, 0x53, 0x50,  // push 0 (flags); push rcx; push r11; push rax
    0xB8, 0x17, 0x00, 0x00, 0x00, 0x0F, 0x05,
  ]
  private static let user: [UInt8] = [
    0x0F, 0x05,  // syscall
    0x49, 0xFF, 0xC4,  // inc r12
    0xEB, 0xF9,  // jmp back
  ]

  private func place(_ bytes: [UInt8], _ address: UInt64) { _ = bytes.withUnsafeBytes { h.v.vcpu.writeGuest(address, from: $0) } }

  @Test func systemCallsThereAndBack() {
    place(Self.kernel, EventsHarness.code)
    place(Self.handler, EventsHarness.code + 0x800)
    place(Self.user, 0x429000)
    h.v.syscallCallback = Callback(address: EventsHarness.code + 0x800, masksEvents: true)
    h.cpu.pointee.rip = EventsHarness.code
    while h.cpu.pointee.gpr.12 < 10 && h.domain.ended == nil {
      h.domain.handle(h.v.vcpu.run(until: 100_000), h.v)
      h.domain.deliverPendingUpcall(h.v)
      if h.v.vcpu.now >= 100_000 { break }
    }
    #expect(h.domain.ended == nil)
    #expect(h.cpu.pointee.gpr.12 == 10)
    // The loop stops as the eleventh call enters its handler.
    #expect(h.cpu.pointee.gpr.3 == 10)
    #expect(h.domain.exits.syscall == 11)
  }

  /// System calls, page faults and hypercalls, served inside the processor's run: the same guest at every cycle as when each exit
  /// is handled by the machine's loop.
  @Test func servedInsideTheRun() throws {
    // inc rbx; stack_switch(0xe02b, the stack's top); set_timer_op(0x100000); then as `handler`.
    var handler: [UInt8] = [0x48, 0xFF, 0xC3, 0xB8, 3, 0, 0, 0, 0xBF, 0x2B, 0xE0, 0, 0, 0xBE, 0, 0x80, 0x41, 0, 0x0F, 5]
    handler += [0xB8, 15, 0, 0, 0, 0xBF, 0, 0, 0x10, 0, 0x0F, 5]
    handler += Self.handler.dropFirst(3)
    // pop rcx; pop r11; add rsp, 8; add qword [rsp], 3; the iret frame.
    let fault: [UInt8] = [0x59, 0x41, 0x5B, 0x48, 0x83, 0xC4, 8, 0x48, 0x83, 4, 0x24, 3] + Self.handler.dropFirst(6)
    // syscall; inc r12; mov al, [r15]; jmp back
    let user: [UInt8] = [0x0F, 5, 0x49, 0xFF, 0xC4, 0x41, 0x8A, 7, 0xEB, 0xF6]
    var states: [[UInt64]] = []
    for (served, translating) in [(false, false), (true, false), (false, true), (true, true)] {
      let h = try EventsHarness()
      for (bytes, address) in [
        (Self.kernel, EventsHarness.code), (handler, EventsHarness.code + 0x800), (fault, EventsHarness.code + 0xC00), (user, 0x429000),
      ] { _ = bytes.withUnsafeBytes { h.v.vcpu.writeGuest(address, from: $0) } }
      h.v.syscallCallback = Callback(address: EventsHarness.code + 0x800, masksEvents: true)
      var gate = TrapGate()
      gate.address = EventsHarness.code + 0xC00
      gate.masksEvents = true
      h.v.traps[14] = gate
      h.cpu.pointee.rip = EventsHarness.code
      if translating { _ = h.v.vcpu.enableTranslator() }
      if served { h.domain.serveExits(of: h.v) }
      var state: [UInt64] = []
      for deadline in stride(from: UInt64(97), to: 6000, by: 97) {
        while h.v.vcpu.now < deadline && h.domain.ended == nil {
          h.domain.deliverPendingUpcall(h.v)
          let exit = h.v.vcpu.run(until: deadline)
          if exit != .deadline { h.domain.handle(exit, h.v) }
        }
        withUnsafeBytes(of: h.cpu.pointee.gpr) { state += $0.bindMemory(to: UInt64.self) }
        state += [h.cpu.pointee.rip, h.cpu.rflags, h.v.vcpu.now, h.v.kernelMode ? 1 : 0, h.v.cr2, h.domain.exits.syscall]
        state += [h.domain.exits.exception, h.domain.exits.hypercall, UInt64(h.v.upcallMask), h.cpu.pointee.seg.5.base]
      }
      #expect(h.domain.ended == nil)
      #expect(h.domain.exits.syscall > 50 && h.domain.exits.exception > 50)
      states.append(state)
      if served { h.domain.leaveExits(of: h.v) }
    }
    #expect(states[0] == states[1])
    #expect(states[0] == states[2])
    #expect(states[0] == states[3])
  }

  /// The emulation of WRMSR that every kernel's first instructions need, reached from the processor itself.
  @Test func theFirstInstructionsOfAKernel() {
    let code: [UInt8] = [
      0xB9, 0x01, 0x01, 0x00, 0xC0,  // mov ecx, 0xc0000101
      0xB8, 0x00, 0x00, 0x00, 0x83, 0x99,  // mov eax, 0x83000000; cdq
      0x0F, 0x30,  // wrmsr
      0xB8, 0x00, 0x00, 0x00, 0x40, 0x31, 0xC9,  // mov eax, 0x40000000; xor ecx, ecx
      0x0F, 0x0B, 0x78, 0x65, 0x6E, 0x0F, 0xA2,  // the prefixed CPUID
      0x41, 0x0F, 0x20, 0xE0,  // mov r8, cr4
      0xB8, 0x11, 0x00, 0x00, 0x00, 0x31, 0xFF, 0x0F, 0x05,  // xen_version(0)
    ]
    place(code, EventsHarness.code)
    h.cpu.pointee.rip = EventsHarness.code
    for _ in 0..<4 { h.domain.handle(h.v.vcpu.run(until: 10_000), h.v) }
    #expect(h.domain.ended == nil)
    #expect(h.cpu.pointee.seg.5.base == 0xFFFF_FFFF_8300_0000)
    #expect(h.cpu.pointee.gpr.3 == 0x566E_6558)
    #expect(h.cpu.pointee.gpr.8 == 0x660)
    #expect(h.cpu.pointee.gpr.0 == 0x40011)
    #expect(h.domain.exits.privileged == 3)
    #expect(h.domain.exits.hypercall == 1)
  }
}

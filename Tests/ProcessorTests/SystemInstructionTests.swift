import CHost
import Testing
import X86

@testable import Processor

/// Privilege, clocks, identification and bases.
@Suite struct SystemInstructionTests {
  static let protected: [(String, [UInt8])] = [
    ("hlt", [0xF4]), ("cli", [0xFA]), ("sti", [0xFB]), ("in al,dx", [0xEC]), ("in eax,imm", [0xE5, 0x80]), ("out dx,al", [0xEE]),
    ("insb", [0x6C]), ("rep outsd", [0xF3, 0x6F]), ("mov rax,cr0", [0x0F, 0x20, 0xC0]), ("mov cr3,rax", [0x0F, 0x22, 0xD8]),
    ("mov rax,cr8", [0x44, 0x0F, 0x20, 0xC0]), ("mov rax,dr7", [0x0F, 0x21, 0xF8]), ("mov dr0,rax", [0x0F, 0x23, 0xC0]),
    ("lgdt", [0x0F, 0x01, 0x16]), ("lidt", [0x0F, 0x01, 0x1E]), ("lldt", [0x0F, 0x00, 0xD0]), ("ltr", [0x0F, 0x00, 0xD8]),
    ("lmsw", [0x0F, 0x01, 0xF0]), ("clts", [0x0F, 0x06]), ("invlpg", [0x0F, 0x01, 0x3E]), ("invd", [0x0F, 0x08]),
    ("wbinvd", [0x0F, 0x09]), ("rdmsr", [0x0F, 0x32]), ("wrmsr", [0x0F, 0x30]), ("rdpmc", [0x0F, 0x33]), ("swapgs", [0x0F, 0x01, 0xF8]),
    ("sysret", [0x48, 0x0F, 0x07]), ("sysexit", [0x0F, 0x35]), ("xsetbv", [0x0F, 0x01, 0xD1]), ("xsaves", [0x0F, 0xC7, 0x2E]),
    ("xrstors", [0x0F, 0xC7, 0x1E]),
  ]

  @Test func protectedInstructionsAtUserLevel() throws {
    let bench = try SystemBench()
    bench.cpu.pointee.cpl = 3
    bench.cpu.pointee.gpr.6 = SystemBench.data
    for (name, bytes) in Self.protected {
      #expect(bench.run(bytes) == .exception(vector: 13, errorCode: 0), "\(name)")
      #expect(bench.cpu.pointee.rip == SystemBench.code, "\(name)")
    }
  }

  @Test func undefinedInstructions() throws {
    let bench = try SystemBench()
    bench.cpu.pointee.cpl = 3
    let absent: [(String, [UInt8])] = [
      ("mov rax,cr1", [0x0F, 0x20, 0xC8]), ("mov cr5,rax", [0x0F, 0x22, 0xE8]), ("monitor", [0x0F, 0x01, 0xC8]),
      ("mwait", [0x0F, 0x01, 0xC9]), ("vmcall", [0x0F, 0x01, 0xC1]), ("clac", [0x0F, 0x01, 0xCA]), ("stac", [0x0F, 0x01, 0xCB]),
      ("rdpkru", [0x0F, 0x01, 0xEE]), ("rsm", [0x0F, 0xAA]), ("mov cs,ax", [0x8E, 0xC8]), ("rdfsbase", [0xF3, 0x0F, 0xAE, 0xC0]),
      ("xbegin", [0xC7, 0xF8, 0, 0, 0, 0]),
    ]
    for (name, bytes) in absent { #expect(bench.run(bytes) == .exception(vector: 6, errorCode: nil), "\(name)") }
    bench.cpu.pointee.cr4 = 0x600
    #expect(bench.run([0x0F, 0x01, 0xD0]) == .exception(vector: 6, errorCode: nil))
    #expect(bench.run([0x0F, 0xAE, 0x26]) == .exception(vector: 6, errorCode: nil))
    bench.cpu.pointee.efer = 0xD00
    #expect(bench.run([0x0F, 0x05]) == .exception(vector: 6, errorCode: nil))
  }

  @Test func clock() throws {
    let bench = try SystemBench()
    bench.cpu.pointee.cpl = 3
    bench.cpu.pointee.tsc_aux = 7
    bench.vcpu.advance(cycles: 0x1_2345_6789)
    // nop; nop; rdtscp: three instructions later.
    let start = bench.vcpu.now
    #expect(bench.run([0x90, 0x90, 0x0F, 0x01, 0xF9, 0x90], count: 4) == .deadline)
    #expect(bench.cpu.pointee.gpr.2 << 32 | bench.cpu.pointee.gpr.0 == start + 3)
    #expect(bench.cpu.pointee.gpr.1 == 7)
    #expect(bench.vcpu.now == start + 4)
    #expect(bench.cpu.pointee.rip == SystemBench.code + 6)
    bench.cpu.pointee.cr4 |= 4
    #expect(bench.run([0x0F, 0x31]) == .exception(vector: 13, errorCode: 0))
    #expect(bench.vcpu.now == start + 4)
  }

  @Test func identification() throws {
    let bench = try SystemBench()
    bench.cpu.pointee.cpl = 3
    bench.vcpu.cpuid = { leaf, subleaf in (leaf &+ 1, subleaf &+ 2, 3, 4) }
    bench.cpu.pointee.gpr = (~0, ~0, ~0, ~0, SystemBench.stack, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    #expect(bench.run([0x0F, 0xA2]) == .deadline)
    #expect(bench.cpu.pointee.gpr.0 == 0 && bench.cpu.pointee.gpr.3 == 1)
    #expect(bench.cpu.pointee.gpr.1 == 3 && bench.cpu.pointee.gpr.2 == 4)
    bench.cpu.pointee.cpuid_faulting = 1
    #expect(bench.run([0x0F, 0xA2]) == .exception(vector: 13, errorCode: 0))
  }

  @Test func systemCall() throws {
    let bench = try SystemBench()
    bench.cpu.pointee.cpl = 3
    #expect(bench.run([0x0F, 0x05], count: 5) == .syscall)
    #expect(bench.cpu.pointee.rip == SystemBench.code + 2)
    #expect(bench.run([0x0F, 0x34], count: 5) == .sysenter)
    bench.cpu.pointee.cpl = 0
    #expect(bench.run([0xF4], count: 5) == .halt)
    #expect(bench.cpu.pointee.rip == SystemBench.code + 1)
  }

  @Test func bases() throws {
    let bench = try SystemBench()
    bench.cpu.pointee.cpl = 3
    bench.cpu.pointee.cr4 |= 0x10000
    bench.cpu.pointee.gpr.0 = 0xFFFF_8888_7777_6666
    // wrfsbase rax; rdfsbase ecx; wrgsbase eax; rdgsbase rdx
    let code: [UInt8] = [
      0xF3, 0x48, 0x0F, 0xAE, 0xD0, 0xF3, 0x0F, 0xAE, 0xC1, 0xF3, 0x0F, 0xAE, 0xD8, 0xF3, 0x48, 0x0F, 0xAE, 0xCA,
    ]
    #expect(bench.run(code, count: 4) == .deadline)
    #expect(bench.cpu.pointee.seg.4.base == 0xFFFF_8888_7777_6666)
    #expect(bench.cpu.pointee.gpr.1 == 0x7777_6666)
    #expect(bench.cpu.pointee.gpr.2 == 0x7777_6666)
    bench.cpu.pointee.gpr.0 = 0x0000_8000_0000_0000
    #expect(bench.run([0xF3, 0x48, 0x0F, 0xAE, 0xD0]) == .exception(vector: 13, errorCode: 0))
  }

  @Test func kernelLevel() throws {
    let bench = try SystemBench()
    let cpu = bench.cpu
    var written: [(UInt32, UInt64)] = []
    var ports: [String] = []
    bench.vcpu.system.readMSR = { $0 == 0x10 ? 0x1_0000_0002 : nil }
    bench.vcpu.system.writeMSR = { number, value in
      written.append((number, value))
      return true
    }
    bench.vcpu.system.portIn = { port, size in
      ports.append("in \(port) \(size)")
      return 0x1234_5678
    }
    bench.vcpu.system.portOut = { ports.append("out \($0) \($1) \($2)") }
    cpu.pointee.gpr.1 = 0x10
    #expect(bench.run([0x0F, 0x32, 0x0F, 0x30], count: 2) == .deadline)
    #expect(written.count == 1 && written[0].1 == 0x1_0000_0002)
    cpu.pointee.gpr.1 = 0x11
    #expect(bench.run([0x0F, 0x32]) == .exception(vector: 13, errorCode: 0))
    cpu.pointee.gpr.2 = 0x3F8
    cpu.pointee.gpr.0 = ~0
    #expect(bench.run([0xEC, 0xE7, 0x80], count: 2) == .deadline)
    #expect(cpu.pointee.gpr.0 == 0xFFFF_FFFF_FFFF_FF78)
    // rep insw
    cpu.pointee.gpr.1 = 2
    cpu.pointee.gpr.7 = SystemBench.data
    #expect(bench.run([0xF3, 0x66, 0x6D], count: 2) == .deadline)
    #expect(cpu.pointee.rip == SystemBench.code + 3 && cpu.pointee.gpr.1 == 0 && cpu.pointee.gpr.7 == SystemBench.data + 4)
    #expect(bench.memory.load(SystemBench.data, as: UInt32.self) == 0x5678_5678)
    #expect(ports == ["in 1016 1", "out 128 4 \(UInt32(0xFFFF_FF78))", "in 1016 2", "in 1016 2"])
    // swapgs; mov cr3
    cpu.pointee.kernel_gs_base = 5
    #expect(bench.run([0x0F, 0x01, 0xF8]) == .deadline)
    #expect(cpu.pointee.seg.5.base == 5)
    cpu.pointee.gpr.0 = 0x7000
    #expect(bench.run([0x0F, 0x22, 0xD8]) == .deadline)
    #expect(cpu.pointee.cr3 == 0x7000)
  }

  @Test func pendingAndUnavailable() throws {
    let bench = try SystemBench()
    let cpu = bench.cpu
    // Zero-divide unmasked and pending: waiting instructions raise #MF, FNSTSW does not.
    cpu.pointee.x87_control_status = 0x37B | 0x8084 << 16
    for bytes in [[0xD9, 0xE8], [0x9B], [0x0F, 0x77], [0x0F, 0x6F, 0xC1]] as [[UInt8]] {
      #expect(bench.run(bytes) == .exception(vector: 16, errorCode: nil))
    }
    #expect(bench.run([0xDF, 0xE0, 0xDB, 0xE2, 0xD9, 0xE8], count: 3) == .deadline)
    #expect(cpu.pointee.gpr.0 == 0x8084)
    cpu.pointee.cr0 |= 8
    for bytes in [[0xD9, 0xE8], [0x0F, 0x77], [0x0F, 0xAE, 0x06]] as [[UInt8]] {
      #expect(bench.run(bytes) == .exception(vector: 7, errorCode: nil))
    }
    #expect(bench.run([0x9B]) == .deadline)
    cpu.pointee.cr0 |= 2
    #expect(bench.run([0x9B]) == .exception(vector: 7, errorCode: nil))
    cpu.pointee.cr0 = 0x15
    #expect(bench.run([0x0F, 0x77]) == .exception(vector: 6, errorCode: nil))
  }
}

import CHost
import Testing
import X86

@testable import Processor

/// Segment loads, far transfers and IRET at CPL 3 over a small descriptor table.
@Suite struct SystemSegmentTests {
  enum Selector {
    static let code64: UInt16 = 0x33
    static let data: UInt16 = 0x2B
    static let code32: UInt16 = 0x23
    static let kernelData: UInt16 = 0x10
    static let absentData: UInt16 = 0x43
    static let tls: UInt16 = 0x4B
    static let executeOnly: UInt16 = 0x53
    static let readOnly: UInt16 = 0x5B
  }
  static let table: [UInt64] = [
    0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0, 0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF, 0,
    0x00CF_7300_0000_FFFF, 0x12C0_F234_5678_0FFF, 0x00CF_F900_0000_FFFF, 0x00CF_F100_0000_FFFF,
  ]

  func bench(hooked: Bool = true) throws -> SystemBench {
    let bench = try SystemBench()
    let cpu = bench.cpu
    cpu.pointee.cpl = 3
    if hooked {
      bench.vcpu.descriptorReader = { selector in
        let index = Int(selector >> 3)
        return selector & 4 == 0 && index < Self.table.count ? .descriptor(Self.table[index]) : .outside
      }
    } else {
      for (n, d) in Self.table.enumerated() { bench.memory.store(d, at: 0x6000 + UInt64(n) * 8) }
      cpu.pointee.gdt = pv_segment(base: 0x6000, limit: UInt32(Self.table.count * 8 - 1), selector: 0, attributes: 0)
    }
    bench.vcpu.setSegment(PV_CS, selector: Selector.code64, descriptor: Self.table[6])
    bench.vcpu.setSegment(PV_SS, selector: Selector.data, descriptor: Self.table[5])
    return bench
  }

  @Test(
    arguments: [
      (PV_DS, Selector.data, nil), (PV_DS, 0x28, nil), (PV_DS, 0, nil), (PV_DS, 3, nil),
      (PV_DS, Selector.kernelData, SegmentFault(.gp, 0x10)), (PV_DS, 0x63, SegmentFault(.gp, 0x60)),
      (PV_DS, 0x2F, SegmentFault(.gp, 0x2C)), (PV_DS, Selector.absentData, SegmentFault(.np, 0x40)),
      (PV_DS, Selector.executeOnly, SegmentFault(.gp, 0x50)), (PV_DS, Selector.code32, nil),
      (PV_SS, Selector.data, nil), (PV_SS, 0x28, SegmentFault(.gp, 0x28)), (PV_SS, 0, SegmentFault(.gp, 0)),
      (PV_SS, 3, SegmentFault(.gp, 0)),
      (PV_SS, Selector.absentData, SegmentFault(.ss, 0x40)), (PV_SS, Selector.readOnly, SegmentFault(.gp, 0x58)),
      (PV_SS, Selector.code32, SegmentFault(.gp, 0x20)), (PV_CS, Selector.code64, SegmentFault(.ud, 0)),
    ] as [(Int, UInt16, SegmentFault?)])
  func checksOfALoad(_ register: Int, _ selector: UInt16, _ fault: SegmentFault?) throws {
    let bench = try bench()
    #expect(bench.vcpu.loadSegment(register, selector: selector) == fault)
    if fault == nil { #expect(bench.vcpu.segment(register).selector == selector) }
  }

  @Test func basesAndNull() throws {
    let bench = try bench()
    // mov gs, ax
    bench.cpu.pointee.gpr.0 = UInt64(Selector.tls)
    #expect(bench.run([0x8E, 0xE8]) == .deadline)
    #expect(bench.cpu.pointee.seg.5.base == 0x1234_5678)
    #expect(bench.cpu.pointee.seg.5.limit == 0x00FF_FFFF)
    bench.cpu.pointee.gpr.0 = 0
    #expect(bench.run([0x8E, 0xE8]) == .deadline)
    #expect(bench.cpu.pointee.seg.5.base == 0)
    // A fault leaves everything as it was: RIP at the instruction.
    bench.cpu.pointee.gpr.0 = UInt64(Selector.absentData)
    #expect(bench.run([0x8E, 0xE8]) == .exception(vector: 11, errorCode: 0x40))
    #expect(bench.cpu.pointee.rip == SystemBench.code)
  }

  /// Programs under a hypervisor may have code with a base, and 16-bit code and stacks, of a table of their own.
  @Test(arguments: [false, true]) func codeWithABase(translator: Bool) throws {
    var bench = try bench()
    if translator { _ = bench.vcpu.enableTranslator() }
    bench.vcpu.setSegment(PV_CS, selector: 0x1F, descriptor: 0x0000_FB00_0E00_FFFF)
    bench.vcpu.setSegment(PV_SS, selector: 0x27, descriptor: 0x0000_F300_8000_FFFF)
    bench.cpu.pointee.gpr.4 = 0x5_1000
    // call +0; pop ax; jmp +0
    for _ in 0..<8 {
      #expect(bench.run([0xE8, 0, 0, 0x58, 0xEB, 0], count: 3) == .deadline)
      #expect(bench.memory.load(0x8FFE) == UInt16(0x203))
      #expect(bench.cpu.pointee.gpr.0 & 0xFFFF == 0x203)
      #expect(bench.cpu.pointee.gpr.4 == 0x5_1000)
      #expect(bench.cpu.pointee.rip == SystemBench.code + 6)
    }
    bench = try self.bench()
    if translator { _ = bench.vcpu.enableTranslator() }
    bench.vcpu.setSegment(PV_CS, selector: 0x1F, descriptor: 0x00CF_FB00_0E00_FFFF)
    for _ in 0..<8 {
      #expect(bench.run([0xE8, 0, 0, 0, 0, 0x58, 0xEB, 0], count: 3) == .deadline)
      #expect(bench.cpu.pointee.gpr.0 == 0x205)
      #expect(bench.cpu.pointee.rip == SystemBench.code + 8)
    }
    // Flat again, and 64-bit: nothing of it is left.
    bench.vcpu.setSegment(PV_CS, selector: Selector.code32, descriptor: Self.table[4])
    #expect(bench.cpu.pointee.mode == 1)
    bench.vcpu.setSegment(PV_CS, selector: Selector.code64, descriptor: Self.table[6])
    #expect(bench.cpu.pointee.mode == 0)
  }

  @Test func tablesInMemory() throws {
    let bench = try bench(hooked: false)
    #expect(bench.vcpu.loadSegment(PV_FS, selector: Selector.tls) == nil)
    #expect(bench.cpu.pointee.seg.4.base == 0x1234_5678)
    // The accessed bit.
    #expect(bench.memory.load(0x6000 + 9 * 8, as: UInt64.self) == Self.table[9] | 1 << 40)
    #expect(bench.vcpu.loadSegment(PV_FS, selector: 0x63) == SegmentFault(.gp, 0x60))
    // LDT without one.
    #expect(bench.vcpu.loadSegment(PV_FS, selector: 0x7) == SegmentFault(.gp, 0x4))
  }

  @Test func pushAndPop() throws {
    let bench = try bench()
    bench.cpu.pointee.seg.4.selector = 0x4B
    // push fs; pop gs
    #expect(bench.run([0x0F, 0xA0, 0x0F, 0xA9], count: 1) == .deadline)
    #expect(bench.memory.load(SystemBench.stack - 8, as: UInt64.self) == 0x4B)
    #expect(bench.cpu.pointee.gpr.4 == SystemBench.stack - 8)
    #expect(bench.run([0x0F, 0xA9]) == .deadline)
    #expect(bench.cpu.pointee.gpr.4 == SystemBench.stack)
    #expect(bench.cpu.pointee.seg.5.base == 0x1234_5678)
  }

  @Test func farPointerAndSelectorStores() throws {
    let bench = try bench()
    bench.cpu.pointee.gpr.6 = SystemBench.data
    bench.memory.store(UInt64(0x1122_3344_5566_7788), at: SystemBench.data)
    bench.memory.store(Selector.tls, at: SystemBench.data + 8)
    // lfs rax, [rsi]
    #expect(bench.run([0x48, 0x0F, 0xB4, 0x06]) == .deadline)
    #expect(bench.cpu.pointee.gpr.0 == 0x1122_3344_5566_7788)
    #expect(bench.cpu.pointee.seg.4.selector == Selector.tls)
    // mov ecx, fs; mov [rsi], ss
    bench.cpu.pointee.gpr.1 = ~0
    #expect(bench.run([0x8C, 0xE1, 0x8C, 0x16], count: 2) == .deadline)
    #expect(bench.cpu.pointee.gpr.1 == 0x4B)
    #expect(bench.memory.load(SystemBench.data, as: UInt16.self) == Selector.data)
    // mov cx, fs keeps the rest.
    bench.cpu.pointee.gpr.1 = ~0
    #expect(bench.run([0x66, 0x8C, 0xE1]) == .deadline)
    #expect(bench.cpu.pointee.gpr.1 == 0xFFFF_FFFF_FFFF_004B)
  }

  func pushFrame(_ bench: SystemBench, rip: UInt64, cs: UInt16, flags: UInt64, rsp: UInt64, ss: UInt16) {
    bench.cpu.pointee.gpr.4 = SystemBench.stack - 40
    for (n, word) in [rip, UInt64(cs), flags, rsp, UInt64(ss)].enumerated() {
      bench.memory.store(word, at: SystemBench.stack - 40 + UInt64(n) * 8)
    }
  }

  @Test func interruptReturn() throws {
    let bench = try bench()
    bench.cpu.rflags = Flag.if | 2
    pushFrame(bench, rip: 0x1800, cs: Selector.code64, flags: Flag.cf | Flag.iopl | Flag.df, rsp: 0x8123, ss: Selector.data)
    #expect(bench.run([0x48, 0xCF]) == .deadline)
    #expect(bench.cpu.pointee.rip == 0x1800)
    #expect(bench.cpu.pointee.gpr.4 == 0x8123)
    // IF and IOPL stay as they were.
    #expect(bench.cpu.rflags == Flag.if | Flag.cf | Flag.df | 2)
    // TF: the next instruction runs, then #DB.
    bench.memory.copyIn([0x90, 0x90], at: 0x1800)
    pushFrame(bench, rip: 0x1800, cs: Selector.code64, flags: Flag.tf, rsp: 0x8000, ss: Selector.data)
    #expect(bench.run([0x48, 0xCF], count: 10) == .exception(vector: 1, errorCode: nil))
    #expect(bench.cpu.pointee.rip == 0x1801)
    // To compatibility mode.
    bench.cpu.rflags = 2
    pushFrame(bench, rip: 0xFFFF_0000_1800, cs: Selector.code32, flags: 2, rsp: 0x8000, ss: Selector.data)
    #expect(bench.run([0x48, 0xCF]) == .exception(vector: 13, errorCode: 0))
    pushFrame(bench, rip: 0x1800, cs: Selector.code32, flags: 2, rsp: 0x8000, ss: Selector.data)
    #expect(bench.run([0x48, 0xCF]) == .deadline)
    #expect(bench.cpu.pointee.mode == 1)
  }

  @Test(arguments: [
    (UInt64(0x1800), UInt16(0), Selector.data, UInt32(0)), (0x1800, 0x08, Selector.data, 0x08), (0x1800, 0x0B, Selector.data, 0x08),
    (0x1800, Selector.data, Selector.data, 0x28), (0x1800, Selector.code64, 0, 0), (0x1800, Selector.code64, 0x28, 0x28),
    (0x8000_0000_0000, Selector.code64, Selector.data, 0),
  ])
  func badReturns(_ rip: UInt64, _ cs: UInt16, _ ss: UInt16, _ errorCode: UInt32) throws {
    let bench = try bench()
    pushFrame(bench, rip: rip, cs: cs, flags: 2, rsp: 0x8000, ss: ss)
    #expect(bench.run([0x48, 0xCF]) == .exception(vector: 13, errorCode: errorCode))
    #expect(bench.cpu.pointee.rip == SystemBench.code)
    #expect(bench.cpu.pointee.gpr.4 == SystemBench.stack - 40)
  }

  @Test func farTransfers() throws {
    let bench = try bench()
    bench.cpu.pointee.gpr.6 = SystemBench.data
    bench.memory.store(UInt32(0x1800), at: SystemBench.data)
    bench.memory.store(Selector.code32, at: SystemBench.data + 4)
    // call far [rsi] to 32-bit code, which returns: retf with 32-bit words.
    #expect(bench.run([0xFF, 0x1E]) == .deadline)
    #expect(bench.cpu.pointee.rip == 0x1800)
    #expect(bench.cpu.pointee.mode == 1)
    #expect(bench.memory.load(SystemBench.stack - 8, as: UInt32.self) == 0x1002)
    #expect(bench.memory.load(SystemBench.stack - 4, as: UInt32.self) == UInt32(Selector.code64))
    bench.memory.copyIn([0xCB], at: 0x1800)
    #expect(bench.vcpu.run(until: bench.vcpu.now + 1) == .deadline)
    #expect(bench.cpu.pointee.rip == 0x1002)
    #expect(bench.cpu.pointee.mode == 0)
    #expect(bench.cpu.pointee.gpr.4 == SystemBench.stack)
    // jmp far to data, to the kernel, to null.
    for (selector, errorCode) in [(Selector.data, UInt32(0x28)), (0x08, 0x08), (0, 0)] {
      bench.memory.store(selector, at: SystemBench.data + 4)
      #expect(bench.run([0xFF, 0x2E]) == .exception(vector: 13, errorCode: errorCode))
    }
  }

  @Test func queries() throws {
    let bench = try bench()
    let cpu = bench.cpu
    // lar eax, ecx
    cpu.pointee.gpr.1 = UInt64(Selector.code64)
    #expect(bench.run([0x0F, 0x02, 0xC1]) == .deadline)
    #expect(cpu.zf)
    #expect(cpu.pointee.gpr.0 == 0x00AF_FB00)
    cpu.pointee.gpr.1 = 0x08
    cpu.pointee.gpr.0 = 77
    #expect(bench.run([0x0F, 0x02, 0xC1]) == .deadline)
    #expect(!cpu.zf && cpu.pointee.gpr.0 == 77)
    // lsl eax, ecx
    cpu.pointee.gpr.1 = UInt64(Selector.data)
    #expect(bench.run([0x0F, 0x03, 0xC1]) == .deadline)
    #expect(cpu.zf && cpu.pointee.gpr.0 == 0xFFFF_FFFF)
    // verr cx, verw cx
    for (selector, reads, writes) in [(Selector.readOnly, true, false), (Selector.executeOnly, false, false), (Selector.data, true, true)] {
      cpu.pointee.gpr.1 = UInt64(selector)
      #expect(bench.run([0x0F, 0x00, 0xE1]) == .deadline)
      #expect(cpu.zf == reads)
      #expect(bench.run([0x0F, 0x00, 0xE9]) == .deadline)
      #expect(cpu.zf == writes)
    }
  }
}

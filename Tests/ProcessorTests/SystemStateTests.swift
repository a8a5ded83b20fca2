import CHost
import Random
import Testing
import X86

@testable import Processor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// FXSAVE and the XSAVE family.
@Suite struct SystemStateTests {
  /// A legacy image with every field random but legal.
  func legacyImage(_ random: inout SeededRandom) -> [UInt8] {
    var image = [UInt8](repeating: 0, count: 512)
    for n in 0..<512 { image[n] = UInt8(truncatingIfNeeded: random.next()) }
    func put(_ value: UInt64, _ at: Int, _ count: Int) {
      for n in 0..<count { image[at + n] = UInt8(truncatingIfNeeded: value >> UInt64(n * 8)) }
    }
    for n in 0..<8 { put(0, 32 + n * 16 + 10, 6) }
    put(random.next() & 0xFFFF, 24, 4)
    put(0, 5, 19)
    put(0xFFFF, 28, 4)
    return image
  }

  #if arch(x86_64)
    typealias Entry = @convention(c) (UnsafeRawPointer, UnsafeMutableRawPointer) -> Void

    /// FXRSTOR and FXSAVE of random images, against the host's.
    @Test func legacyImagesMatchTheHost() throws {
      let page = try #require(HostCode())
      // stmxcsr [rsp-8]; fxrstor64 [rdi]; fxsave64 [rsi]; fninit; ldmxcsr [rsp-8]; ret
      let code: [UInt8] = [
        0x0F, 0xAE, 0x5C, 0x24, 0xF8, 0x48, 0x0F, 0xAE, 0x0F, 0x48, 0x0F, 0xAE, 0x06, 0xDB, 0xE3, 0x0F, 0xAE, 0x54, 0x24, 0xF8, 0xC3,
      ]
      let entry = page.function(code, as: Entry.self)
      let bench = try SystemBench()
      var random = SeededRandom(seed: 12345)
      for _ in 0..<200 {
        let image = legacyImage(&random)
        let filler = [UInt8](repeating: 0xAA, count: 512)
        var expected = filler
        withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 64) { buffer in
          buffer.copyBytes(from: image)
          memset(buffer.baseAddress! + 512, 0xAA, 512)
          entry(buffer.baseAddress!, buffer.baseAddress! + 512)
          expected = Array(buffer[512..<1024])
        }
        bench.memory.copyIn(image, at: SystemBench.data)
        bench.memory.copyIn(filler, at: SystemBench.data + 0x400)
        bench.cpu.pointee.gpr.7 = SystemBench.data
        bench.cpu.pointee.gpr.6 = SystemBench.data + 0x400
        #expect(bench.run([0x48, 0x0F, 0xAE, 0x0F, 0x48, 0x0F, 0xAE, 0x06], count: 2) == .deadline)
        let mine = bench.memory.copyOut(SystemBench.data + 0x400, count: 512)!
        // The mask tells what MXCSR has: the host's may be wider. FIP and FDP are 0 here, and their selectors vary.
        for n in 6..<24 { expected[n] = 0 }
        for n in 28..<32 { expected[n] = mine[n] }
        // Bytes that the manual reserves.
        for n in 416..<512 { #expect(mine[n] == 0xAA) }
        #expect(mine[0..<416] == expected[0..<416])
        if mine[0..<416] != expected[0..<416] { break }
      }
    }
  #endif

  @Test func legacyChecks() throws {
    let bench = try SystemBench()
    bench.cpu.pointee.gpr.7 = SystemBench.data + 8
    #expect(bench.run([0x0F, 0xAE, 0x0F]) == .exception(vector: 13, errorCode: 0))
    #expect(bench.run([0x0F, 0xAE, 0x07]) == .exception(vector: 13, errorCode: 0))
    bench.cpu.pointee.gpr.7 = SystemBench.data
    bench.memory.store(UInt32(0x10000), at: SystemBench.data + 24)
    #expect(bench.run([0x0F, 0xAE, 0x0F]) == .exception(vector: 13, errorCode: 0))
  }

  func fill(_ cpu: CPU) {
    for n in 0..<16 {
      let register = cpu.address(StateOffset.vector(n))
      for lane in 0..<4 { register.storeBytes(of: UInt64(n * 16 + lane + 1), toByteOffset: lane * 8, as: UInt64.self) }
    }
  }

  func lane(_ cpu: CPU, _ n: Int, _ lane: Int) -> UInt64 { cpu.get(StateOffset.vector(n) + UInt16(lane * 8), UInt64.self) }

  @Test(arguments: [[0x0F, 0xAE, 0x26], [0x0F, 0xAE, 0x36], [0x0F, 0xC7, 0x26]] as [[UInt8]])
  func extendedRoundTrip(_ save: [UInt8]) throws {
    let bench = try SystemBench()
    let cpu = bench.cpu
    fill(cpu)
    cpu.pointee.mxcsr = 0x3F80
    cpu.pointee.gpr.6 = SystemBench.data
    cpu.pointee.gpr.0 = 7
    // fld1, then the save
    #expect(bench.run([0xD9, 0xE8] + save, count: 2) == .deadline)
    let compacted = save[1] == 0xC7
    #expect(bench.memory.load(SystemBench.data + 512, as: UInt64.self) == 7)
    #expect(bench.memory.load(SystemBench.data + 520, as: UInt64.self) == (compacted ? 0x8000_0000_0000_0007 as UInt64 : 0))
    #expect(bench.memory.load(SystemBench.data + 24, as: UInt32.self) == 0x3F80)
    #expect(bench.memory.load(SystemBench.data + 160 + 15 * 16, as: UInt64.self) == 241)
    #expect(bench.memory.load(SystemBench.data + 576 + 15 * 16 + 8, as: UInt64.self) == 244)
    // fninit, everything cleared, then XRSTOR brings it back.
    memset(cpu.address(UInt16(StateOffset.ymm)), 0, 512)
    cpu.pointee.mxcsr = 0x1F80
    #expect(bench.run([0xDB, 0xE3, 0x0F, 0xAE, 0x2E], count: 2) == .deadline)
    #expect(lane(cpu, 15, 0) == 241 && lane(cpu, 3, 3) == 52)
    #expect(cpu.pointee.mxcsr == 0x3F80)
    #expect(cpu.pointee.x87_top == 7 && cpu.pointee.x87_tags == 0x80)
    // What XSTATE_BV lacks is initialized, where it is asked for.
    bench.memory.store(compacted ? UInt64(0) : 2, at: SystemBench.data + 512)
    cpu.pointee.gpr.0 = 5
    #expect(bench.run([0x0F, 0xAE, 0x2E]) == .deadline)
    #expect(lane(cpu, 15, 0) == 241 && lane(cpu, 15, 2) == 0)
    #expect(cpu.pointee.x87_tags == 0 && cpu.pointee.x87_top == 0)
  }

  @Test func whatIsNotInUse() throws {
    let bench = try SystemBench()
    let cpu = bench.cpu
    cpu.pointee.gpr.6 = SystemBench.data
    cpu.pointee.gpr.0 = 7
    cpu.address(StateOffset.vector(2)).storeBytes(of: 1, as: UInt64.self)
    // xgetbv with ECX = 1; xsaveopt writes SSE alone.
    cpu.pointee.gpr.1 = 1
    bench.memory.copyIn([UInt8](repeating: 0xAA, count: 512), at: SystemBench.data)
    #expect(bench.run([0x0F, 0x01, 0xD0]) == .deadline)
    #expect(cpu.pointee.gpr.0 == 2)
    cpu.pointee.gpr.0 = 7
    #expect(bench.run([0x0F, 0xAE, 0x36]) == .deadline)
    #expect(bench.memory.load(SystemBench.data + 512, as: UInt64.self) == 2)
    #expect(bench.memory.load(SystemBench.data, as: UInt64.self) == 0xAAAA_AAAA_AAAA_AAAA)
    #expect(bench.memory.load(SystemBench.data + 160 + 32, as: UInt64.self) == 1)
    cpu.pointee.gpr.1 = 2
    #expect(bench.run([0x0F, 0x01, 0xD0]) == .exception(vector: 13, errorCode: 0))
  }

  @Test func headerChecks() throws {
    let bench = try SystemBench()
    let cpu = bench.cpu
    cpu.pointee.gpr.6 = SystemBench.data
    cpu.pointee.gpr.0 = 7
    func restore(_ present: UInt64, _ form: UInt64, _ reserved: UInt64 = 0, at: Int = 16) -> Exit {
      bench.memory.zero(SystemBench.data, count: 832)
      bench.memory.store(present, at: SystemBench.data + 512)
      bench.memory.store(form, at: SystemBench.data + 520)
      if at != 8 { bench.memory.store(reserved, at: SystemBench.data + 512 + UInt64(at)) }
      return bench.run([0x0F, 0xAE, 0x2E])
    }
    let fault = Exit.exception(vector: 13, errorCode: 0)
    #expect(restore(7, 0) == .deadline)
    #expect(restore(8, 0) == fault)
    #expect(restore(0, 1) == fault)
    #expect(restore(0, 0, 1) == fault)
    #expect(restore(0, 0, 1, at: 24) == .deadline)
    #expect(restore(2, 1 << 63 | 7) == .deadline)
    #expect(restore(2, 1 << 63 | 5) == fault)
    #expect(restore(0, 1 << 63 | 8) == fault)
    #expect(restore(0, 1 << 63, 1, at: 56) == fault)
    cpu.pointee.gpr.6 = SystemBench.data + 32
    #expect(bench.run([0x0F, 0xAE, 0x2E]) == fault)
    #expect(bench.run([0x0F, 0xAE, 0x26]) == fault)
  }
}

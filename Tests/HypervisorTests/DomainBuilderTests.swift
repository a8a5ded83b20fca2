import CHost
import Devices
import GuestMemory
import Processor
import Testing

@testable import Hypervisor

private final class NoServices: DomainServices {
  var now: Cycles { 0 }
  var cyclesPerSecond: UInt64 { 1_000_000_000 }
  var wallClockAtStart: UInt64 { 0 }
  func setTimer(vcpu: Int, kind: TimerKind, at cycle: Cycles?) {}
  func consoleWrite(_ bytes: [UInt8]) {}
  func eventSent(port: UInt32) {}
  func domainEnded(_ reason: DomainEnd) {}
  func log(_ message: @autoclosure () -> String) {}
}

/// A domain with one vCPU, and the start of day that was built in it.
private struct Built {
  let services = NoServices()
  let domain: Domain
  let start: StartOfDay
  var boot: PVCPU { domain.vcpus[0] }

  init(
    _ kernel: [UInt8], order: FrameOrder = .identity, pages: Int = 4096, ramdisk: [UInt8]? = nil, commandLine: String = ""
  ) throws {
    let frames = FrameTable.machineFramesNeeded(guestPages: pages, order: order)
    let memory = try MachineMemory(frameCount: frames)
    let table = try FrameTable(memory: memory, guestPages: pages, order: order)
    domain = Domain(id: DomainID(1), memory: memory, frames: table, initialPages: pages, services: services)
    domain.vcpus = [PVCPU(id: 0, vcpu: VCPU(memory: memory))]
    start = try DomainBuilder().build(
      domain: domain, kernel: KernelImage.load(kernel), ramdisk: ramdisk, commandLine: commandLine, storePort: 1, consolePort: 2)
  }

  func read(_ linear: UInt64) -> UInt64? { boot.vcpu.readGuest(linear) }
  func bytes(_ linear: UInt64, _ count: Int) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: count)
    return buffer.withUnsafeMutableBytes { boot.vcpu.readGuest(linear, into: $0) } ? buffer : nil
  }
  func info<T: FixedWidthInteger>(_ offset: UInt64, _: T.Type = T.self) -> T? {
    boot.vcpu.readGuest(start.startInfo &+ offset)
  }
  func machineFrame(_ pfn: UInt64) -> UInt64 { domain.frames.machineFrame(of: Int(pfn)) ?? ~0 }
  func isWritable(_ linear: UInt64) -> Bool { boot.vcpu.translate(linear, .write) != nil }
}

private let orders: [FrameOrder] = [.identity, .scattered(seed: 42)]
private let base = SampleKernel.virtualBase

/// What a kernel finds at its first instruction.
struct DomainBuilderTests {
  @Test(arguments: orders) func theKernelLiesWhereItsHeadersSay(order: FrameOrder) throws {
    let elf = SampleKernel.small()
    let built = try Built(elf, order: order)
    let image = try KernelImage.load(elf)
    let code = Array(elf[image.parts[0].fileOffset..<image.parts[0].fileOffset + 12288])
    #expect(built.bytes(base + 0x100000, 12288) == code)
    #expect(built.bytes(base + 0x103000, 8192) == [UInt8](repeating: 0, count: 8192))
    // Below the kernel there is memory, mapped and zero.
    #expect(built.bytes(base, 4096) == [UInt8](repeating: 0, count: 4096))
    #expect(built.isWritable(base) && built.isWritable(base + 0x100000))
    #expect(built.boot.vcpu.translate(base + 0x100000, .execute) != nil)
  }

  @Test(arguments: orders) func aLinuxKernelGetsLinuxsLayout(order: FrameOrder) throws {
    let ramdisk = (0..<10000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
    let built = try Built(SampleKernel.small(), order: order, ramdisk: ramdisk, commandLine: "console=hvc0 quiet")
    let layout = built.start.layout
    // kernel | start_info | store | console | L4 L3 L2 L1 L1 | stack; mapped to a 4 MiB boundary; ramdisk, list, its tables
    #expect(layout.startInfoFrame == 0x105)
    #expect(layout.storeFrame == 0x106)
    #expect(layout.consoleFrame == 0x107)
    #expect(layout.tables == .init(firstFrame: 0x108, counts: [1, 1, 1, 2]))
    #expect(layout.stackFrame == 0x10D)
    #expect(layout.mappedPages == 0x400)
    #expect(layout.ramdiskFrame == 0x400)
    #expect(layout.p2mFrame == 0x403)
    #expect(layout.p2mPages == 8)
    #expect(layout.p2mTables == .init(firstFrame: 0x40B, counts: [0, 1, 1, 1]))
    #expect(built.info(0x20) == UInt64(4096))
    #expect(built.info(0x28) == built.domain.sharedInfoFrame << 12)
    #expect(built.info(0x30) == UInt32(8))
    #expect(built.info(0x38) == built.machineFrame(0x106))
    #expect(built.info(0x40) == UInt32(1))
    #expect(built.info(0x48) == built.machineFrame(0x107))
    #expect(built.info(0x50) == UInt32(2))
    #expect(built.info(0x58) == base + 0x108000)
    #expect(built.info(0x60) == UInt64(5))
    #expect(built.info(0x68) == UInt64(0x80_0000_0000))
    #expect(built.info(0x70) == UInt64(0x400))
    #expect(built.info(0x78) == UInt64(10000))
    #expect(built.info(0x480) == UInt64(0x403))
    #expect(built.info(0x488) == UInt64(11))
    #expect(built.bytes(built.start.startInfo, 32) == Array("xen-3.0-x86_64".utf8) + [UInt8](repeating: 0, count: 18))
    #expect(built.bytes(built.start.startInfo + 0x80, 19) == SampleKernel.text("console=hvc0 quiet"))
    #expect(built.start.storeFrame == built.machineFrame(0x106))
    #expect(built.start.consoleFrame == built.machineFrame(0x107))
    // The ramdisk is not mapped.
    #expect(built.read(base + 0x400000) == nil)
    var stored: [UInt8] = []
    for page in 0..<UInt64(3) { stored += built.domain.memory.copyOut(built.machineFrame(0x400 + page) << 12, count: 4096) ?? [] }
    #expect(stored == ramdisk + [UInt8](repeating: 0, count: 3 * 4096 - 10000))
  }

  @Test(arguments: orders) func aKernelWithoutThoseNotesFindsAllInTheMapping(order: FrameOrder) throws {
    let built = try Built(SampleKernel.small(linux: false), order: order, ramdisk: [1, 2, 3])
    let layout = built.start.layout
    // kernel | ramdisk | list | start_info | …
    #expect(layout.ramdiskFrame == 0x105)
    #expect(layout.p2mFrame == 0x106)
    #expect(layout.startInfoFrame == 0x10E)
    #expect(built.info(0x30) == UInt32(0))
    #expect(built.info(0x68) == base + 0x106000)
    #expect(built.info(0x70) == base + 0x105000)
    #expect(built.info(0x480) == UInt64(0))
    #expect(built.bytes(base + 0x105000, 4) == [1, 2, 3, 0])
    #expect(built.read(base + 0x106000 + 8 * 77) == built.machineFrame(77))
    let without = try Built(SampleKernel.small(linux: false), order: order)
    #expect(without.info(0x70) == UInt64(0))
    #expect(without.info(0x78) == UInt64(0))
    #expect(without.start.layout.p2mFrame == 0x105)
  }

  @Test(arguments: orders) func theListAndItsInverseAgree(order: FrameOrder) throws {
    let built = try Built(SampleKernel.small(), order: order)
    for pfn in stride(from: UInt64(0), to: 4096, by: 61) {
      let mfn = built.read(0x80_0000_0000 + pfn * 8)
      #expect(mfn == built.machineFrame(pfn))
      #expect(built.read(0xFFFF_8000_0000_0000 + (mfn ?? 0) * 8) == pfn)
    }
    #expect(built.read(0xFFFF_8000_0000_0000 + built.domain.sharedInfoFrame * 8) == ~0)
  }

  @Test(arguments: orders) func entriesAreAsXenLeavesThem(order: FrameOrder) throws {
    let built = try Built(SampleKernel.small(), order: order)
    let layout = built.start.layout
    let l1 = layout.tables.first(level: 1)
    #expect(built.read(base + l1 << 12) == built.machineFrame(0) << 12 | 0x10_0000_0000_0027)
    #expect(built.read(base + l1 << 12 + 0x108 * 8) == built.machineFrame(0x108) << 12 | 0x10_0000_0000_0025)
    #expect(built.read(base + 0x108000 + 511 * 8) == built.machineFrame(0x109) << 12 | 0x67)
    #expect(built.read(base + 0x108000 + 8) == built.machineFrame(layout.p2mTables.firstFrame) << 12 | 0x67)
  }

  @Test(arguments: orders) func onlyPageTablesAreReadOnly(order: FrameOrder) throws {
    let built = try Built(SampleKernel.small(), order: order)
    let layout = built.start.layout
    for frame in 0..<layout.mappedPages {
      let linear = base + frame << 12
      #expect(built.boot.vcpu.translate(linear, .read) == built.machineFrame(frame) << 12)
      #expect(built.isWritable(linear) == !layout.isTable(frame), "frame \(frame)")
    }
    #expect(built.read(base + layout.mappedPages << 12) == nil)
  }

  @Test func registersAreThoseOfAStart() throws {
    let built = try Built(SampleKernel.small(), order: .scattered(seed: 7))
    let cpu = built.boot.vcpu.cpu
    #expect(cpu.pointee.rip == base + 0x100010)
    let stack = base + 0x10E000
    let registers = withUnsafeBytes(of: cpu.pointee.gpr) { Array($0.bindMemory(to: UInt64.self)) }
    #expect(registers == [0, 0, 0, 0, stack, 0, built.start.startInfo, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    #expect(cpu.rflags == 0x202)
    #expect(cpu.pointee.cpl == 3)
    #expect(cpu.pointee.cr3 == built.machineFrame(0x108) << 12)
    #expect([cpu.pointee.seg.1.selector, cpu.pointee.seg.2.selector] == [0xE033, 0xE02B])
    #expect([cpu.pointee.seg.0, cpu.pointee.seg.3, cpu.pointee.seg.4, cpu.pointee.seg.5].map(\.selector) == [0, 0, 0, 0])
    #expect(built.boot.kernelMode)
    #expect(built.boot.kernelTable == built.machineFrame(0x108))
    #expect(built.boot.userTable == 0)
    #expect(built.boot.kernelSP == stack)
    #expect(built.boot.vcpuInfo == built.domain.sharedInfoFrame << 12)
    for index in 0..<UInt64(32) {
      let info: UInt64? = built.domain.memory.load(built.domain.sharedInfoFrame << 12 + index * 64)
      #expect(info == 0x100)
    }
  }

  @Test func theHypercallPageIsFilledWhereAskedFor() throws {
    let built = try Built(SampleKernel.small(hypercallPage: true))
    let page = try #require(built.bytes(base + 0x101000, 4096))
    #expect(page == HypercallPage.contents)
    #expect(page.count == 4096)
    #expect(Array(page[29 * 32..<29 * 32 + 15]) == [0x51, 0x41, 0x53, 0xB8, 29, 0, 0, 0, 0x0F, 0x05, 0x41, 0x5B, 0x59, 0xC3, 0xCC])
    #expect(Array(page[23 * 32..<23 * 32 + 12]) == [0x51, 0x41, 0x53, 0x50, 0xB8, 23, 0, 0, 0, 0x0F, 0x05, 0xCC])
  }

  @Test func whatDoesNotFitIsSaid() throws {
    let small = SampleKernel.small()
    #expect(throws: DomainBuildError.layout(.memoryTooSmall(needed: 0x405, pages: 0x300))) { try Built(small, pages: 0x300) }
    #expect(throws: DomainBuildError.layout(.memoryTooSmall(needed: 0x506, pages: 0x500))) {
      try Built(small, pages: 0x500, ramdisk: [UInt8](repeating: 0, count: 0x100 * 4096))
    }
    #expect(throws: DomainBuildError.commandLineTooLong(1024)) {
      try Built(small, commandLine: String(repeating: "x", count: 1024))
    }
    #expect(throws: DomainBuildError.commandLineHasNul) { try Built(small, commandLine: "a\0b") }
    let full = try Built(small, commandLine: String(repeating: "x", count: 1023))
    #expect(full.bytes(full.start.startInfo + 0x80 + 1022, 2) == [0x78, 0])
  }

  /// A kernel as large as Debian's: more than one GiB of tables is not needed, many level-1 tables are.
  @Test func aLargeKernelGetsTablesThatMapThemselves() throws {
    let elf = SampleKernel.elf(
      [.init(address: 0x1000000, bytes: [0x90], memorySize: 0x3A00000)],
      notes: SampleKernel.notes(entry: base + 0x1000000))
    let built = try Built(elf, order: .scattered(seed: 3), pages: 32768)
    let layout = built.start.layout
    #expect(layout.startInfoFrame == 0x4A00)
    #expect(layout.tables.counts == [1, 1, 1, layout.mappedPages / 512])
    #expect(layout.mappedPages & 1023 == 0)
    #expect(layout.mappedPages >= layout.stackFrame + 1 + 128)
    #expect(built.read(base + (layout.mappedPages - 1) << 12) == 0)
    #expect(built.read(base + layout.mappedPages << 12) == nil)
  }
}

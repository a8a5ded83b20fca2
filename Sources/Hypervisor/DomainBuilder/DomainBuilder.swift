import CHost
import GuestMemory
import Processor

/// What the rest of the machine must know of a domain that has just been built.
public struct StartOfDay: Sendable, Equatable {
  public var layout: DomainLayout
  /// Virtual address of start_info.
  public var startInfo: UInt64
  /// Machine frames of the xenstore and console rings.
  public var storeFrame: UInt64
  public var consoleFrame: UInt64
  /// Machine frame of the level-4 page table.
  public var topTable: UInt64
  /// First instruction and stack pointer.
  public var entry: UInt64
  public var stackPointer: UInt64
}

public enum DomainBuildError: Error, Equatable, Sendable, CustomStringConvertible {
  case layout(DomainLayout.Failure)
  /// Longer than start_info has room for; bytes.
  case commandLineTooLong(Int)
  case commandLineHasNul
  /// The hypervisor's own frames are used up.
  case noXenFrame
  /// The page-table rules refused the bootstrap tables: a fault of Paravane's own.
  case tablesRefused(String)
  case noVCPU

  public var description: String {
    switch self {
    case .layout(let failure): failure.description
    case .commandLineTooLong(let n):
      "the kernel command line is \(n) bytes long, and a PV guest takes at most \(StartInfo.commandLineSize - 1); shorten it"
    case .commandLineHasNul: "the kernel command line contains a NUL byte; remove it"
    case .noXenFrame: "the hypervisor has no frame left for shared_info"
    case .tablesRefused(let why): "the bootstrap page tables were refused (\(why)); this is a fault of Paravane's"
    case .noVCPU: "the domain has no vCPU to start"
    }
  }
}

/// Builds a domain's start of day: what a PV kernel finds in memory and in vCPU 0's registers at its first instruction.
///
/// The domain's frames are new and zero. Machine frames may be in any order: everything is written through the list of
/// machine frames by pseudo-physical frame, and page tables hold machine frames.
public struct DomainBuilder: Sendable {
  /// Bits of a bootstrap entry above level 1, and at level 1 (written as Xen adjusts them: USER, and bit 52 for a page
  /// that the guest meant for its kernel).
  private static let tableBits: UInt64 = 0x67
  private static let pageBits: UInt64 = 1 << 52 | 0x27
  private static let readOnlyBits: UInt64 = 1 << 52 | 0x25

  public init() {}

  /// - Parameters:
  ///   - domain: new, with at least one vCPU.
  ///   - ramdisk: nil or empty: none.
  ///   - storePort, consolePort: the domain's ends of the channels to the store and the console.
  @discardableResult public func build(
    domain: Domain, kernel: KernelImage, ramdisk: [UInt8]?, commandLine: String, storePort: UInt32, consolePort: UInt32
  ) throws(DomainBuildError) -> StartOfDay {
    let ramdisk = ramdisk ?? []
    let line = Array(commandLine.utf8)
    guard line.count < StartInfo.commandLineSize else { throw .commandLineTooLong(line.count) }
    guard !line.contains(0) else { throw .commandLineHasNul }
    guard let boot = domain.vcpus.first else { throw .noVCPU }
    let layout: DomainLayout
    do throws(DomainLayout.Failure) {
      layout = try DomainLayout(kernel: kernel, ramdiskBytes: ramdisk.count, pages: UInt64(domain.frames.guestPages))
    } catch { throw .layout(error) }
    if domain.sharedInfoFrame == 0 {
      guard let frame = domain.frames.allocateXenFrame() else { throw .noXenFrame }
      domain.sharedInfoFrame = frame
    }

    let writer = FrameWriter(domain: domain)
    for part in kernel.parts {
      kernel.elf.withUnsafeBytes { elf in
        writer.copy(UnsafeRawBufferPointer(rebasing: elf[part.fileOffset..<part.fileOffset + part.fileSize]), to: part.address)
      }
      writer.zero(part.address &+ UInt64(part.fileSize), count: part.memorySize &- UInt64(part.fileSize))
    }
    if let page = kernel.notes.hypercallPage { writer.copy(HypercallPage.contents, to: page &- layout.virtualBase) }
    writer.copy(ramdisk, to: layout.ramdiskFrame << 12)
    writeP2M(layout, writer)
    let topTable = writer.machineFrame(layout.tables.firstFrame)
    writeTables(layout, layout.tables, at: layout.virtualBase, pages: layout.mappedPages, firstFrame: 0, writer)
    if layout.p2mTables.total > 0 {
      writeTables(layout, layout.p2mTables, at: layout.p2mAddress, pages: layout.p2mPages, firstFrame: layout.p2mFrame, writer)
    }

    var info = StartInfo()
    info.pages = layout.pages
    info.sharedInfo = domain.sharedInfoFrame << 12
    info.storeFrame = writer.machineFrame(layout.storeFrame)
    info.storePort = storePort
    info.consoleFrame = writer.machineFrame(layout.consoleFrame)
    info.consolePort = consolePort
    info.tableBase = layout.virtualBase &+ layout.tables.firstFrame << 12
    info.tableFrames = layout.tables.total
    info.p2mList = layout.p2mAddress
    if !ramdisk.isEmpty {
      info.flags = layout.ramdiskIsMapped ? 0 : StartInfo.moduleStartIsFrame
      info.moduleStart = layout.ramdiskIsMapped ? layout.virtualBase &+ layout.ramdiskFrame << 12 : layout.ramdiskFrame
      info.moduleLength = UInt64(ramdisk.count)
    }
    info.commandLine = line
    if kernel.notes.initialP2M != nil {
      info.firstP2MFrame = layout.p2mFrame
      info.p2mFrames = layout.p2mPages &+ layout.p2mTables.total
    }
    writer.copy(info.encoded(), to: layout.startInfoFrame << 12)

    domain.memory.zero(domain.sharedInfoFrame << 12, count: 4096)
    domain.initialiseSharedInfo()
    let start = StartOfDay(
      layout: layout, startInfo: layout.virtualBase &+ layout.startInfoFrame << 12, storeFrame: info.storeFrame,
      consoleFrame: info.consoleFrame, topTable: topTable, entry: kernel.notes.entry,
      stackPointer: layout.virtualBase &+ (layout.stackFrame &+ 1) << 12)
    Self.setRegisters(boot, start)
    // The engine checks the tables as it would a guest's, and shows the M2P in the level-4 table.
    guard PageTables.pinInitial(domain, l4: topTable) else { throw .tablesRefused("pinning") }
    guard domain.pageTables.loadTables(boot, kernel: topTable) == 0 else { throw .tablesRefused("loading") }
    return start
  }

  /// The list of machine frames by pseudo-physical frame.
  private func writeP2M(_ layout: DomainLayout, _ writer: FrameWriter) {
    var entries = [UInt64](repeating: ~0, count: 512)
    for page in 0..<layout.p2mPages {
      for index in 0..<UInt64(512) {
        let frame = page * 512 + index
        entries[Int(index)] = frame < layout.pages ? writer.machineFrame(frame) : ~0
      }
      entries.withUnsafeBytes { writer.copy($0, to: (layout.p2mFrame &+ page) << 12) }
    }
  }

  /// Writes the tables of one mapping: `pages` pages from `address` to consecutive pseudo-physical frames.
  private func writeTables(
    _ layout: DomainLayout, _ run: DomainLayout.TableRun, at address: UInt64, pages: UInt64, firstFrame: UInt64,
    _ writer: FrameWriter
  ) {
    let firstPage = address >> 12
    for page in 0..<pages {
      let number = firstPage &+ page
      let table = run.first(level: 1) &+ (number >> 9 &- firstPage >> 9)
      let frame = firstFrame &+ page
      let bits = layout.isTable(frame) ? Self.readOnlyBits : Self.pageBits
      writer.store(writer.machineFrame(frame) << 12 | bits, table, slot: number & 511)
    }
    for level in 2...4 {
      // The tables one level below, numbered by the address range that each covers.
      let first = address >> UInt64(12 + 9 * (level - 1))
      for index in 0..<run.counts[5 - level] {
        let number = first &+ index
        let parent =
          level == 4 ? layout.tables.firstFrame : run.first(level: level) &+ (number >> 9 &- first >> 9)
        let child = writer.machineFrame(run.first(level: level - 1) &+ index)
        writer.store(child << 12 | Self.tableBits, parent, slot: number & 511)
      }
    }
  }

  /// vCPU 0 at its first instruction, all but the page tables.
  static func setRegisters(_ vcpu: PVCPU, _ start: StartOfDay) {
    vcpu.kernelMode = true
    vcpu.kernelSS = 0xE02B
    vcpu.kernelSP = start.stackPointer
    vcpu.up = true
    let cpu = vcpu.vcpu.cpu
    _ = withUnsafeMutableBytes(of: &cpu.pointee.gpr) { $0.initializeMemory(as: UInt8.self, repeating: 0) }
    cpu.pointee.gpr.4 = start.stackPointer
    cpu.pointee.gpr.6 = start.startInfo
    cpu.pointee.rip = start.entry
    cpu.pointee.next_rip = start.entry
    cpu.rflags = 0x202
    cpu.pointee.cpl = 3
    cpu.pointee.mode = 0
    // PE MP ET NE WP AM PG; SCE LME LMA NX.
    cpu.pointee.cr0 = 0x8005_0033
    cpu.pointee.efer = 0xD01
    // What the guest sees is 0x660 (PAE MCE OSFXSR OSXMMEXCPT); OSXSAVE is Xen's own, and makes XGETBV work always.
    cpu.pointee.cr4 = 0x40660
    cpu.pointee.xcr0 = 1
    cpu.pointee.dr.6 = 0xFFFF_0FF0
    cpu.pointee.dr.7 = 0x400
    let null = pv_segment(base: 0, limit: 0, selector: 0, attributes: 0)
    let code = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0xE033, attributes: 0xAFB)
    let data = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0xE02B, attributes: 0xCF3)
    cpu.pointee.seg = (null, code, data, null, null, null)
    // What SGDT, SIDT, SLDT and STR show: Xen's own tables.
    cpu.pointee.gdt.limit = 0xEFFF
    cpu.pointee.idt.limit = 0xFFF
    cpu.pointee.ldt = null
    cpu.pointee.tr.selector = 0xE040
    cpu.pointee.kernel_gs_base = 0
    vcpu.inactiveGSBase = 0
  }
}

/// Writes pseudo-physical memory of a new domain, whose machine frames may lie anywhere.
private struct FrameWriter {
  let domain: Domain

  /// Machine frame of a frame that the layout has checked to exist.
  func machineFrame(_ frame: UInt64) -> UInt64 {
    domain.frames.machineFrame(of: Int(truncatingIfNeeded: frame)) ?? ~0 >> 12
  }

  func store(_ value: UInt64, _ frame: UInt64, slot: UInt64) {
    domain.memory.store(value, at: machineFrame(frame) << 12 | slot << 3)
  }

  func copy(_ bytes: [UInt8], to address: UInt64) {
    bytes.withUnsafeBytes { copy($0, to: address) }
  }

  func copy(_ bytes: UnsafeRawBufferPointer, to address: UInt64) {
    forEachPage(address, UInt64(bytes.count)) { machine, done, count in
      domain.memory.copyIn(UnsafeRawBufferPointer(rebasing: bytes[done..<done + count]), at: machine)
    }
  }

  func zero(_ address: UInt64, count: UInt64) {
    forEachPage(address, count) { machine, _, count in domain.memory.zero(machine, count: count) }
  }

  /// (machine address, bytes before it, bytes) of each page of a range.
  private func forEachPage(_ address: UInt64, _ count: UInt64, _ body: (UInt64, Int, Int) -> Void) {
    var done: UInt64 = 0
    while done < count {
      let at = address &+ done
      let part = min(count - done, 4096 - at & 4095)
      body(machineFrame(at >> 12) << 12 | at & 4095, Int(done), Int(part))
      done += part
    }
  }
}

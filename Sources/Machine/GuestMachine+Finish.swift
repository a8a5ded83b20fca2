import CHost
import Foundation
import GuestMemory
import Processor

// What is said of a run when it is over: statistics and the digest of its final state.

extension GuestMachine {
  func collectStatistics(_ outcome: Outcome) {
    let cpuSeconds = Double(processorNanoseconds() - processorTimeAtStart) / 1e9
    statistics.clock = options.clock.rawValue
    statistics.cpu = options.cpu
    statistics.engine = options.engine == .lockstep ? options.engine.rawValue : engine.rawValue
    statistics.seed = options.seed
    statistics.tsc_hz = options.cyclesPerSecond
    statistics.ended = outcome.ending.rawValue
    statistics.wall_seconds = Double(monotonicNanoseconds() - startedAt) / 1e9
    statistics.cpu_seconds = cpuSeconds
    statistics.guest_instructions = vcpu.instructions
    statistics.guest_cycles = vcpu.now
    statistics.idle_cycles = idleCycles
    statistics.guest_seconds = Double(vcpu.now) / Double(options.cyclesPerSecond)
    statistics.mips = cpuSeconds > 0 ? Double(vcpu.instructions) / cpuSeconds / 1e6 : 0
    statistics.processor = processorStatistics(vcpu)
    if options.verbose > 0 { logProcessorCounters() }
    collectPlatformStatistics()
    if engine == .translator {
      let counts = vcpu.translatorCounts
      statistics.translator = Statistics.Translator(blocks: counts.blocks, bytes: counts.bytes, flushes: counts.flushes)
      if options.verbose > 0 {
        for entry in vcpu.translatorReport(30) { logger("fallback \(entry.name): \(entry.hits)") }
      }
    }
    statistics.memory.resident_bytes = residentBytes()
    guard let path = options.statisticsPath else { return }
    var touched: UInt64 = 0
    let wantsDigest = options.wantsDigest || options.clock == .virtual
    var digest = StateDigest()
    memory.forEachTouchedFrame { frame, bytes in
      touched += UInt64(bytes.count)
      guard wantsDigest, !isZero(bytes) else { return }
      digest.update(UInt64(frame))
      digest.update(bytes)
    }
    statistics.memory.guest_touched_bytes = touched
    if wantsDigest {
      digestState(&digest)
      statistics.state_digest = digest.finish()
    }
    do {
      try statistics.json().write(to: URL(fileURLWithPath: path))
    } catch {
      logger("\(path): the statistics cannot be written: \(error.localizedDescription)")
    }
  }

  private func processorStatistics(_ vcpu: VCPU) -> Statistics.ProcessorWork {
    var work = Statistics.ProcessorWork()
    let (run, tlb, code) = (vcpu.runCounters, vcpu.translationCounters, vcpu.codeCounters)
    work.runs = run.runs
    work.jump_hits = run.known
    work.block_lookups = run.lookups
    work.translated_entries = run.translated
    work.interpreted_blocks = run.interpreted
    work.crossing_instructions = run.crossings
    work.young_blocks = run.young
    work.refused_blocks = run.refused
    work.tlb_walks = tlb.walks
    work.tlb_data_fills = tlb.dataFills
    work.tlb_fetch_fills = tlb.fetchFills
    work.tlb_fetch_evictions = tlb.fetchEvictions
    work.tlb_selects = tlb.selects
    work.tlb_new_sets = tlb.newSets
    work.tlb_inherited_sets = tlb.inherited
    work.tlb_flushes = tlb.flushes
    work.tlb_table_drops = tlb.tableDrops
    work.tlb_wide_drops = tlb.wideDrops
    work.jump_clears = tlb.jumpClears
    work.blocks_decoded = code.blocks
    work.code_flushes = code.flushes
    work.code_pages_dropped = code.pages
    work.translated_pages_dropped = code.translatedPages
    return work
  }

  /// What `processor` of the statistics holds, in words.
  private func logProcessorCounters() {
    let w = statistics.processor
    logger("run loop: \(w.runs) runs, \(w.jump_hits) jumps known, \(w.block_lookups) look-ups (\(w.interpreted_blocks) interpreted)")
    logger("TLB: \(w.tlb_walks) walks, \(w.tlb_data_fills) data, \(w.tlb_fetch_fills) fetch (\(w.tlb_fetch_evictions) in a used slot)")
    logger(
      "TLB sets: \(w.tlb_selects) selects, \(w.tlb_new_sets) new, \(w.tlb_inherited_sets) with the kernel's half, "
        + "\(w.tlb_flushes) flushes, \(w.tlb_table_drops) tables dropped, \(w.jump_clears) jump clears"
    )
    logger(
      "code: \(w.blocks_decoded) blocks decoded, \(w.code_pages_dropped) pages dropped (\(w.translated_pages_dropped) translated), "
        + "\(w.code_flushes) flushes"
    )
  }

  /// Everything but memory, in a fixed order.
  private func digestState(_ digest: inout StateDigest) {
    let s = vcpu.cpu.pointee
    withUnsafeBytes(of: s.gpr) { digest.update($0) }
    digest.update(s.rip)
    digest.update(vcpu.cpu.rflags)
    for value in [s.cr0, s.cr2, s.cr3, s.cr4, s.xcr0, s.efer, s.kernel_gs_base, s.tsc_aux, s.extra_cycles, s.random] {
      digest.update(value)
    }
    withUnsafeBytes(of: s.dr) { digest.update($0) }
    withUnsafeBytes(of: s.seg) { digest.update($0) }
    withUnsafeBytes(of: s.ymm) { digest.update($0) }
    withUnsafeBytes(of: s.x87) { digest.update($0) }
    for value in [s.mxcsr, s.x87_control_status, s.x87_top, s.x87_tags, s.mode, s.cpl] { digest.update(UInt64(value)) }
    digest.update(vcpu.now)
    digest.update(idleCycles)
    digestPlatform(&digest)
  }
}

/// Whether a frame (4096 bytes, aligned) holds only zeros.
private func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
  var at = 0
  while at < bytes.count {
    if bytes.load(fromByteOffset: at, as: UInt64.self) != 0 { return false }
    at += 8
  }
  return true
}

/// Bytes of the process in the host's memory.
private func residentBytes() -> UInt64 {
  guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
  let fields = text.split(separator: " ")
  guard fields.count > 1, let pages = UInt64(fields[1]) else { return 0 }
  return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
}

import CHost
import GuestMemory
import Hypervisor
import Processor
import Random
import Silicon

/// Hypercalls of a guest kernel with any arguments over memory full of anything, and page-table operations above all. The counts of the
/// frames have to be right all the time. Every few hundred rounds there is a new domain.
struct HypercallTarget: FuzzTarget {
  static var batch: UInt64 { 64 }
  /// Whether only operations on page tables are made.
  var isPageTables = false
  private let image: KernelImage
  private var sample: SampleDomain
  private var calls: UInt64 = 0
  private var successes: UInt64 = 0
  var summary: String { ", \(calls) hypercalls, of which \(successes) did something" }

  init() throws {
    image = try KernelImage.load(SampleKernel.elf())
    sample = try SampleDomain(image)
  }

  mutating func run(_ random: inout SeededRandom) -> String? {
    // A round is a domain's whole life: nothing of an earlier one can be seen in it.
    do { sample = try SampleDomain(image, seed: random.oneIn(2) ? random.next() : nil) } catch { return "\(error)" }
    for step in 0..<200 {
      if sample.domain.ended != nil { break }
      sample.services.now &+= random.below(1 << 24)
      let calls = isPageTables ? tableCall(&random) : anyCall(&random)
      make(calls.number, calls.arguments)
      if step & 31 == 31, let problem = sample.domain.pageTables.checkInvariants().first { return "step \(step): \(problem)" }
    }
    return sample.domain.pageTables.checkInvariants().first
  }

  private mutating func make(_ number: UInt64, _ a: [UInt64]) {
    let cpu = sample.vcpu.vcpu.cpu
    cpu.pointee.gpr.0 = number
    (cpu.pointee.gpr.7, cpu.pointee.gpr.6, cpu.pointee.gpr.2) = (a[0], a[1], a[2])
    (cpu.pointee.gpr.10, cpu.pointee.gpr.8, cpu.pointee.gpr.9) = (a[3], a[4], a[5])
    sample.domain.handle(.syscall, sample.vcpu)
    calls += 1
    if Int64(bitPattern: cpu.pointee.gpr.0) >= 0 { successes += 1 }
    sample.vcpu.blocked = false
  }

  // MARK: - Values

  private var base: UInt64 { SampleKernel.virtualBase }

  private func frame(_ random: inout SeededRandom) -> UInt64 {
    let frames = sample.domain.frames
    switch random.below(24) {
    case 0: return frames.frameCount &+ random.below(3)
    case 1: return frames.m2pBase
    case 2: return sample.domain.sharedInfoFrame
    case 3: return Mutator.word(&random)
    case 4...10:
      // The tables of the start of day.
      let tables = sample.start.layout.tables.firstFrame
      return frames.machineFrame(of: Int(tables &+ random.below(6))) ?? 0
    default: return frames.machineFrame(of: Int(random.below(2048))) ?? 0
    }
  }

  private func linear(_ random: inout SeededRandom) -> UInt64 {
    switch random.below(12) {
    case 0: return Mutator.word(&random)
    case 1: return 0xFFFF_8000_0000_0000 &+ random.below(1 << 24)
    case 2: return base &+ random.below(1 << 22)
    default: return base &+ 4096 &* random.below(0x100) &+ 8 &* random.below(64)
    }
  }

  private func entry(_ random: inout SeededRandom) -> UInt64 {
    let flags: [UInt64] = [0x67, 0x65, 0x63, 0x61, 0x25, 0x27, 0x05, 0x64, 0, 1 << 63 | 0x67, 0xE7, 0x6F, 0x1FF, 0xFFF]
    let value = frame(&random) << 12 | flags[Int(random.below(UInt64(flags.count)))]
    return random.oneIn(32) ? value ^ 1 << random.below(64) : value
  }

  /// Structures at an address that is mapped: words that mean something to somebody.
  private func buffer(_ random: inout SeededRandom) -> UInt64 {
    let at = base &+ 4096 &* random.below(0xF0) &+ (random.oneIn(4) ? 4096 - 16 : 8 &* random.below(400))
    for index in 0..<2 + random.below(12) {
      let value: UInt64
      switch random.below(8) {
      case 0, 1: value = Mutator.word(&random)
      case 2: value = frame(&random)
      case 3: value = linear(&random)
      case 4: value = frame(&random) << 12 | random.below(512) << 3 | random.below(4)
      case 5: value = entry(&random)
      case 6: value = random.below(16) | random.below(16) << 32
      default: value = [0x7FF0, 1, 0, 0x7FF1, 0x7FF2, 0x7FF4][Int(random.below(6))]
      }
      _ = sample.vcpu.vcpu.writeGuest(at &+ index * 8, value)
    }
    return at
  }

  private func argument(_ random: inout SeededRandom) -> UInt64 {
    switch random.below(8) {
    case 0: return Mutator.word(&random)
    case 1: return random.below(20)
    case 2: return linear(&random)
    case 3: return frame(&random)
    default: return buffer(&random)
    }
  }

  // MARK: - Calls

  private func anyCall(_ random: inout SeededRandom) -> (number: UInt64, arguments: [UInt64]) {
    if random.oneIn(4) { return tableCall(&random) }
    let number = random.oneIn(32) ? Mutator.word(&random) : random.below(49)
    // Most calls choose an operation first and have their structure second.
    var arguments = (0..<6).map { _ in argument(&random) }
    if random.below(4) != 0 {
      arguments[0] = random.below(32)
      arguments[1] = buffer(&random)
      if random.oneIn(2) { arguments[2] = random.below(4) }
    } else if random.oneIn(2) {
      arguments[0] = buffer(&random)
      arguments[1] = random.below(6)
    }
    return (number, arguments)
  }

  private func tableCall(_ random: inout SeededRandom) -> (number: UInt64, arguments: [UInt64]) {
    let at = base &+ 4096 &* random.below(0xF0)
    func put(_ words: [UInt64]) {
      for (index, word) in words.enumerated() { _ = sample.vcpu.vcpu.writeGuest(at &+ UInt64(index) * 8, word) }
    }
    switch random.below(10) {
    case 0...3:
      var words: [UInt64] = []
      let count = 1 + random.below(4)
      for _ in 0..<count {
        let slots: [UInt64] = [0, 1, 2, 100, 256, 271, 272, 510, 511]
        let slot = random.oneIn(2) ? slots[Int(random.below(UInt64(slots.count)))] : random.below(512)
        words += [frame(&random) << 12 | slot << 3 | [0, 0, 0, 0, 1, 2, 3][Int(random.below(7))], entry(&random)]
      }
      put(words)
      return (1, [at, count, random.oneIn(4) ? at &+ 2048 : 0, 0x7FF0, 0, 0])
    case 4...6:
      put([random.oneIn(2) ? random.below(5) : random.below(24), random.oneIn(6) ? linear(&random) : frame(&random), argument(&random)])
      return (26, [at, 1, 0, 0x7FF0, 0, 0])
    case 7: return (14, [linear(&random), entry(&random), random.below(16), 0, 0, 0])
    case 8:
      put([buffer(&random), 1 + random.below(3), random.below(3) | 0x7FF0 << 32])
      return (12, [random.below(16), at, 0, 0, 0, 0])
    default:
      // A store of the guest's own, which writable page tables may take up.
      _ = sample.vcpu.vcpu.writeGuest(linear(&random), entry(&random))
      return (21, [random.below(2), random.below(6), 0, 0, 0, 0])
    }
  }
}

/// Page-table operations alone.
struct PageTableTarget: FuzzTarget {
  static var batch: UInt64 { 64 }
  private var calls: HypercallTarget

  init() throws {
    calls = try HypercallTarget()
    calls.isPageTables = true
  }

  var summary: String { calls.summary }
  mutating func run(_ random: inout SeededRandom) -> String? { calls.run(&random) }
}

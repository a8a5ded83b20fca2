import CHost
import Processor
import Random
import X86

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What a run of cases found.
public struct SiliconReport: Sendable {
  public var executions: UInt64 = 0
  public var differing: UInt64 = 0
  /// Cases by form number, and those of them that went on to the next instruction.
  public var compared: [UInt64] = []
  public var completed: [UInt64] = []
  /// First cases of each kind of difference, in full.
  public var samples: [String] = []
  /// Counts by "form: what differs".
  public var kinds: [String: UInt64] = [:]
  public init() {}
}

/// Runs cases on the host's processor and in the interpreter, and compares.
public final class SiliconCampaign {
  let guest: SiliconGuest
  let generator: CaseGenerator
  let comparison: Comparison
  let before: UnsafeMutablePointer<psil_state>
  let after: UnsafeMutablePointer<psil_state>
  let guestAfter: UnsafeMutablePointer<psil_state>
  let hostCode: UnsafeMutableRawPointer
  let hostData: UnsafeMutableRawPointer
  let pattern: UnsafeMutableRawPointer
  let original: UnsafeMutableRawPointer
  let seed: UInt64
  let isTranslating: Bool
  /// The most instructions in a case.
  let longest: UInt64
  private var bodies: [InstructionForm] = []
  private var general: [InstructionForm] = []
  private var ends: [InstructionForm] = []
  public let forms: [InstructionForm]
  /// Forms that are not compared, each with its reason.
  public let excluded: [(form: InstructionForm, reason: String)]
  private var report = SiliconReport()
  private let maximumSamples: UInt64

  public enum Failure: Error { case noHost(String) }

  /// - Parameters:
  ///   - only: mnemonics to run; empty: every form that user mode can run on this host.
  ///   - isTranslating: run the guest's instruction in the translator.
  ///   - longest: run sequences of 2 to so many instructions; 1: single ones, each form in turn.
  ///   - isStrict: compare undefined flags as well.
  ///   - samples: cases reported in full of each kind of difference.
  public init(
    seed: UInt64, only: [String] = [], isTranslating: Bool = false, longest: UInt64 = 1, isStrict: Bool = false, samples: UInt64 = 1
  ) throws {
    guard psil_start() == 1 else { throw Failure.noHost(String(cString: psil_reason())) }
    self.seed = seed
    self.isTranslating = isTranslating
    self.longest = max(longest, 1)
    maximumSamples = samples
    let host = HostFeatures()
    var forms: [InstructionForm] = []
    var excluded: [(InstructionForm, String)] = []
    for form in InstructionTable.shared.forms.dropFirst() {
      if let reason = Exclusion.reason(form, host) {
        excluded.append((form, reason))
      } else if only.isEmpty || only.contains(form.mnemonic.name) || only.contains("#\(form.id)") {
        forms.append(form)
      }
    }
    self.forms = forms
    self.excluded = excluded
    guest = try SiliconGuest()
    if isTranslating && !guest.vcpu.enableTranslator() { throw Failure.noHost("no executable memory for the translator") }
    before = psil_before()
    after = psil_after()
    guestAfter = .allocate(capacity: 1)
    memset(guestAfter, 0, MemoryLayout<psil_state>.size)
    memset(before, 0, MemoryLayout<psil_state>.size)
    hostCode = UnsafeMutableRawPointer(psil_code())
    hostData = UnsafeMutableRawPointer(psil_data())
    pattern = .allocate(byteCount: Int(PSIL_DATA_BYTES), alignment: 64)
    original = .allocate(byteCount: Int(PSIL_DATA_BYTES), alignment: 64)
    var random = SeededRandom(seed: 0x5EED)
    for i in 0..<Int(PSIL_DATA_BYTES) / 8 {
      pattern.storeBytes(of: random.element(UInt64(i) >> 4 & 7), toByteOffset: i * 8, as: UInt64.self)
    }
    generator = CaseGenerator(before: before, hostData: hostData, guestData: guest.data)
    comparison = Comparison(
      hostState: after, guestState: guestAfter, hostData: hostData, guestData: guest.data, open: OpenResults(isStrict: isStrict))
    bodies = forms.filter { CaseGenerator.canStand($0, comparison.open) }
    // What compilers use most, and what is translated.
    let families: Set<String> = ["base", "bmi1", "bmi2", "adx", "lzcnt", "popcnt", "movbe"]
    general = bodies.filter { families.contains($0.feature) }
    ends = forms.filter { CaseGenerator.canEnd($0) }
    if longest > 1 && (bodies.isEmpty || general.isEmpty || ends.isEmpty) { throw Failure.noHost("too few forms for sequences") }
    report.compared = Array(repeating: 0, count: InstructionTable.shared.forms.count)
    report.completed = report.compared
  }

  deinit {
    guestAfter.deallocate()
    pattern.deallocate()
    original.deallocate()
  }

  /// Runs the cases `first`, `first + stride` … below `end`. A case is the same in every run with the same seed and forms.
  public func run(first: UInt64, end: UInt64, stride: UInt64 = 1) -> SiliconReport {
    var index = first
    while index < end && !forms.isEmpty {
      runCase(index)
      index &+= stride
    }
    return report
  }

  private func runCase(_ index: UInt64) {
    var random = SeededRandom(seed: seed, index: index)
    let form = forms[Int(index % UInt64(forms.count))]
    let bytes = Int(PSIL_DATA_BYTES)
    hostData.copyMemory(from: pattern, byteCount: bytes)
    guest.data.copyMemory(from: pattern, byteCount: bytes)
    let made =
      longest > 1
      ? generator.makeSequence(bodies, general, ends, longest: longest, &random) : generator.make(form, &random)
    guard let test = made else { return }
    original.copyMemory(from: hostData, byteCount: bytes)
    let offset = Int(test.start - UInt64(PSIL_CODE))
    var code = test.bytes
    code += [0xFF, 0x25, 0, 0, 0, 0]
    let exit = psil_exit_address()
    for i in 0..<8 as Range<UInt64> { code.append(UInt8(truncatingIfNeeded: exit >> (i * 8))) }
    let room = min(code.count, Int(PSIL_CODE_BYTES) - offset)
    code.withUnsafeBytes { (hostCode + offset).copyMemory(from: $0.baseAddress!, byteCount: room) }
    code.withUnsafeBytes {
      _ = guest.memory.copyIn(UnsafeRawBufferPointer(rebasing: $0[0..<room]), at: SiliconGuest.codeFrame << 12 + UInt64(offset))
    }
    // The guest goes on to the jump as the host does, and stops where it leads, in a repetition, so that its budget may be large
    // and the repetition is not interrupted; and in what is to be translated, which is done to whole blocks only.
    let repeats =
      !test.instruction.prefixes.isDisjoint(with: [.rep, .repne]) && test.sequence.isEmpty && CaseGenerator.isString(form.mnemonic.name)
    let stops = repeats || isTranslating || longest > 1
    psil_run()
    guest.load(before)
    var exited = guest.step(stops: stops)
    if isTranslating {
      // A block is translated when it is found for the third time.
      for _ in 0..<2 {
        guest.data.copyMemory(from: original, byteCount: bytes)
        guest.load(before)
        exited = guest.step(stops: true)
      }
    }
    guest.store(guestAfter)
    memset(hostCode + offset, 0xCC, room)
    // By the write path, which drops what was decoded: a branch may come here later.
    _ = guest.memory.copyIn([UInt8](repeating: 0xCC, count: room), at: SiliconGuest.codeFrame << 12 + UInt64(offset))
    let hostOutcome = Comparison.hostOutcome(test, after)
    let guestOutcome = Comparison.guestOutcome(test, exited, guestAfter, stops: stops)
    report.executions += 1
    for id in test.sequence.isEmpty ? [form.id] : test.sequence.map(\.form) {
      report.compared[Int(id)] += 1
      if hostOutcome.vector < 0 { report.completed[Int(id)] += 1 }
    }
    let found = comparison.differences(test, hostOutcome, guestOutcome)
    if !found.isEmpty { note(test, index, found) }
  }

  private func note(_ test: SiliconCase, _ index: UInt64, _ found: [Difference]) {
    report.differing += 1
    let what = found.map(\.what).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    let title = test.sequence.isEmpty ? Self.title(test.form) : "sequence"
    let kind = "\(title): \(what.joined(separator: " "))"
    report.kinds[kind, default: 0] += 1
    guard report.kinds[kind]! <= maximumSamples else { return }
    report.samples.append(describe(test, index, found))
  }

  /// A form by name and operand letters.
  public static func title(_ form: InstructionForm) -> String { "#\(form.id) \(form.mnemonic.name)" }
}

import CHost
import X86

/// Why a form is not compared with the host; nil where it is.
enum Exclusion {
  /// Reasons by mnemonic. `feature`-wide reasons are below.
  private static let table = """
    cpuid: what the processor says of itself is the guest's policy
    rdtsc rdtscp rdpmc: clocks and counters
    rdrand rdseed: random
    rdpid: the number of the host's processor
    xgetbv: the host has more state components
    rdpkru wrpkru: CR4.PKE is the host system's
    syscall sysenter int: they enter the host's system
    vmcall vmmcall: they enter what the host runs on
    sgdt sidt sldt str smsw: the host's system shows its programs made-up values (UMIP)
    callf jmpf retf iretw iretd iretq: far transfers out of 64-bit code
    xbegin xend xabort xtest: transactions of the host may abort at any time; the guest has none
    ptwrite serialize monitor mwait: only some hosts have it
    sysret sysexit swapgs rsm: only for the system; hosts differ in the exception
    jcxz: not in 64-bit mode
    """

  private static let reasons: [String: String] = {
    var reasons: [String: String] = [:]
    for line in table.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { continue }
      for name in parts[0].split(separator: " ") { reasons[String(name)] = parts[1].trimmingPrefix(" ").description }
    }
    return reasons
  }()

  static func reason(_ form: InstructionForm, _ host: HostFeatures) -> String? {
    if !form.isValid(in: .long64) { return "not in 64-bit mode" }
    if let reason = reasons[form.mnemonic.name] { return reason }
    if !host.has(form.feature) { return "the host has no \(form.feature)" }
    return nil
  }
}

/// What the host can be asked (CPUID leaves 1, 7, 13 and 80000001).
struct HostFeatures {
  private var bits: [String: Bool] = [:]

  init() {
    var one: [UInt32] = [0, 0, 0, 0]
    var seven = one
    var state = one
    var extended = one
    psil_cpuid(1, 0, &one)
    psil_cpuid(7, 0, &seven)
    psil_cpuid(13, 1, &state)
    psil_cpuid(0x8000_0001, 0, &extended)
    func bit(_ word: UInt32, _ n: UInt32) -> Bool { word >> n & 1 != 0 }
    bits["sse3"] = bit(one[2], 0)
    bits["pclmul"] = bit(one[2], 1)
    bits["ssse3"] = bit(one[2], 9)
    bits["fma"] = bit(one[2], 12)
    bits["cx16"] = bit(one[2], 13)
    bits["sse41"] = bit(one[2], 19)
    bits["sse42"] = bit(one[2], 20)
    bits["movbe"] = bit(one[2], 22)
    bits["popcnt"] = bit(one[2], 23)
    bits["aes"] = bit(one[2], 25)
    bits["avx"] = bit(one[2], 28)
    bits["f16c"] = bit(one[2], 29)
    bits["bmi1"] = bit(seven[1], 3)
    bits["avx2"] = bit(seven[1], 5)
    bits["bmi2"] = bit(seven[1], 8)
    bits["adx"] = bit(seven[1], 19)
    bits["clflushopt"] = bit(seven[1], 23)
    bits["clwb"] = bit(seven[1], 24)
    bits["sha"] = bit(seven[1], 29)
    bits["xsaveopt"] = bit(state[0], 0)
    bits["xsavec"] = bit(state[0], 1)
    bits["xsaves"] = bit(state[0], 3)
    bits["lzcnt"] = bit(extended[2], 5)
    bits["wbnoinvd"] = false
    bits["invpcid"] = bit(seven[1], 10)
  }

  /// A feature of the instruction table; those without a bit here every x86-64 host that runs this has.
  func has(_ feature: String) -> Bool { bits[feature] ?? true }
}

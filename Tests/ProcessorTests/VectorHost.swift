#if arch(x86_64) && os(Linux)
  import CHost
  import Glibc

  /// Runs single instructions on the host's own processor: the oracle of the vector tests.
  ///
  /// A trampoline loads sixteen YMM registers, MXCSR, flags and some general registers from a record, executes the bytes,
  /// and puts everything back. RSI points at a buffer that both sides share.
  final class VectorHost {
    /// Byte offsets in the record.
    static let ymm = 0
    static let general = 512  // RAX, RCX, RDX, RSI
    static let flags = 544
    static let mxcsr = 552
    static let savedMXCSR = 556
    static let size = 640

    let record = UnsafeMutableRawPointer.allocate(byteCount: VectorHost.size, alignment: 64)
    private let code: HostCode
    private var trampoline: (@convention(c) (UnsafeMutableRawPointer) -> Void)?

    init?() {
      guard let code = HostCode() else { return nil }
      self.code = code
      record.initializeMemory(as: UInt8.self, repeating: 0, count: VectorHost.size)
    }

    deinit { record.deallocate() }

    /// CPUID, for knowing what the host can be asked.
    func cpuid(_ leaf: UInt32) -> (ebx: UInt32, ecx: UInt32) {
      // push rbx; mov eax, edi; xor ecx, ecx; cpuid; mov eax, ebx; shl rcx, 32; or rax, rcx; pop rbx; ret
      let bytes: [UInt8] = [0x53, 0x89, 0xF8, 0x31, 0xC9, 0x0F, 0xA2, 0x89, 0xD8, 0x48, 0xC1, 0xE1, 0x20, 0x48, 0x09, 0xC8, 0x5B, 0xC3]
      let value = code.function(bytes, as: (@convention(c) (UInt32) -> UInt64).self)(leaf)
      return (UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32))
    }

    /// SSE4.2, AES, PCLMULQDQ, AVX, F16C, FMA; AVX2; SHA.
    var hasAll: Bool {
      let one = cpuid(1).ecx
      let seven = cpuid(7).ebx
      let wanted: UInt32 = 1 << 1 | 1 << 12 | 1 << 20 | 1 << 25 | 1 << 27 | 1 << 28 | 1 << 29
      return one & wanted == wanted && seven & (1 << 5) != 0 && seven & (1 << 29) != 0
    }

    private func displacement(_ value: Int) -> [UInt8] {
      [UInt8(value & 255), UInt8(value >> 8 & 255), UInt8(value >> 16 & 255), UInt8(value >> 24 & 255)]
    }

    /// VMOVDQU between YMM `n` and [R15 + 32 n].
    private func vector(_ n: Int, store: Bool) -> [UInt8] {
      [0xC4, n < 8 ? 0xC1 : 0x41, 0x7E, store ? 0x7F : 0x6F, UInt8(0x87 | (n & 7) << 3)] + displacement(n * 32)
    }

    /// MOV between a general register and [R15 + offset].
    private func general(_ n: Int, _ offset: Int, store: Bool) -> [UInt8] {
      [0x49, store ? 0x89 : 0x8B, UInt8(0x87 | n << 3)] + displacement(offset)
    }

    /// LDMXCSR (2) or STMXCSR (3) of [R15 + offset].
    private func control(_ operation: Int, _ offset: Int) -> [UInt8] {
      [0x41, 0x0F, 0xAE, UInt8(0x87 | operation << 3)] + displacement(offset)
    }

    /// Makes the trampoline for an instruction's bytes.
    func prepare(_ instruction: [UInt8]) {
      var bytes: [UInt8] = [0x53, 0x55, 0x41, 0x57, 0x49, 0x89, 0xFF]  // push rbx, rbp, r15; mov r15, rdi
      bytes += control(3, VectorHost.savedMXCSR)
      bytes += control(2, VectorHost.mxcsr)
      for n in 0..<16 { bytes += vector(n, store: false) }
      bytes += [0x41, 0xFF, 0xB7] + displacement(VectorHost.flags) + [0x9D]  // push [r15 + flags]; popfq
      for (slot, n) in [0, 1, 2, 6].enumerated() { bytes += general(n, VectorHost.general + slot * 8, store: false) }
      bytes += instruction
      for (slot, n) in [0, 1, 2].enumerated() { bytes += general(n, VectorHost.general + slot * 8, store: true) }
      bytes += [0x9C, 0x41, 0x8F, 0x87] + displacement(VectorHost.flags)  // pushfq; pop [r15 + flags]
      for n in 0..<16 { bytes += vector(n, store: true) }
      bytes += control(3, VectorHost.mxcsr)
      bytes += control(2, VectorHost.savedMXCSR)
      bytes += [0xC5, 0xF8, 0x77, 0x41, 0x5F, 0x5D, 0x5B, 0xC3]  // vzeroupper; pop r15, rbp, rbx; ret
      trampoline = code.function(bytes, as: (@convention(c) (UnsafeMutableRawPointer) -> Void).self)
    }

    func run() { trampoline?(record) }
  }
#endif

import CHost
import X86

// Real, protected, virtual-8086 and long mode: which of them the processor is in, and what that means for decoding.
//
// `pv_vcpu.mode` chooses how code is decoded and lowered. 64-bit code and 32-bit code whose segments are all flat run the same
// operations whoever the processor stands for; other code is decoded once more, with operations that look at segments (`Segmented…`).

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// The processor stands for itself: nobody else carries out exceptions.
  @inline(__always) var isArchitectural: Bool { pointee.architectural != 0 }
  /// CR0.PE
  @inline(__always) var isProtected: Bool { pointee.cr0 & 1 != 0 }
  /// RFLAGS.VM
  @inline(__always) var isVirtual8086: Bool { pointee.rflags & Flag.vm != 0 }
  /// Segments are paragraphs: real mode or virtual-8086 mode.
  @inline(__always) var hasParagraphs: Bool { !isProtected || isVirtual8086 }
  @inline(__always) var isSegmented: Bool { pointee.mode & UInt32(PV_MODE_SEGMENTED) != 0 }
  /// EFER.LMA
  @inline(__always) var isLongModeActive: Bool { pointee.efer & 0x400 != 0 }
}

extension pv_segment {
  /// Reads and writes of any address are allowed.
  fileprivate var isFlatData: Bool { base == 0 && limit == .max && attributes & 0x9E == 0x92 }
  fileprivate var isFlatCode: Bool { base == 0 && limit == .max && attributes & 0x9A == 0x9A }
  var isBig: Bool { attributes & 0x400 != 0 }
  var isPresent: Bool { attributes & 0x80 != 0 }
  var isCode: Bool { attributes & 0x18 == 0x18 }
  /// A data segment whose offsets are those above the limit.
  var expandsDown: Bool { attributes & 0x1C == 0x14 }

  static func paragraph(_ selector: UInt16, attributes: UInt16, limit: UInt32 = 0xFFFF) -> pv_segment {
    pv_segment(base: UInt64(selector) << 4, limit: limit, selector: selector, attributes: attributes)
  }
}

extension VCPU {
  /// Works out `mode` from the segments: call after changing any of them, CR0.PE or EFER.LMA. Under a hypervisor only CS and SS count:
  /// bases of the others are added anyway, and limits looked at where code or stack are no flat 32-bit ones.
  public func updateMode() {
    let code = cpu.pointee.seg.1
    if cpu.isLongModeActive && code.attributes & 0x200 != 0 {
      cpu.pointee.mode = 0
      return
    }
    var mode: UInt32 = code.isBig ? 1 : 2
    if cpu.isArchitectural {
      mode |= UInt32(PV_MODE_FSGS)
      let stack = cpu.pointee.seg.2
      let flat = code.isFlatCode && stack.isFlatData && stack.isBig && cpu.pointee.seg.3.isFlatData && cpu.pointee.seg.0.isFlatData
      if !flat { mode |= UInt32(PV_MODE_SEGMENTED) }
    } else if code.base != 0 || !code.isBig || !cpu.pointee.seg.2.isBig {
      mode |= UInt32(PV_MODE_SEGMENTED)
    }
    cpu.pointee.mode = mode
  }

  /// Changes CPL, and the translations with it.
  @inline(__always) func setPrivilege(_ cpl: UInt32) {
    let changes = (cpl == 3) != (cpu.pointee.cpl == 3)
    cpu.pointee.cpl = cpl
    if changes { selectTranslations() }
  }

  /// Whether the processor carries out exceptions, software interrupts and system calls by itself; if not, they are exits.
  public var deliversItself: Bool {
    get { cpu.isArchitectural }
    set {
      cpu.pointee.architectural = newValue ? 1 : 0
      updateMode()
    }
  }

  /// RIP as an offset in the code segment, as the architecture shows it.
  public var instructionPointer: UInt64 {
    cpu.pointee.mode == 0 ? cpu.pointee.rip : (cpu.pointee.rip &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF
  }

  /// Power-on and RESET: the processor stands for itself and begins at F000:FFF0, 16 bytes below 4 GiB (SDM volume 3, table 10-1).
  ///
  /// - Parameter signature: CPUID.1's EAX, which EDX has then.
  public func powerOn(signature: UInt32) {
    settleX87(cpu)
    cpu.pointee.architectural = 1
    cpu.pointee.cr8 = 0
    cpu.pointee.xcr0 = 1
    cpu.pointee.mxcsr = 0x1F80
    cpu.pointee.x87_control_status = 0x37F
    cpu.pointee.x87_top = 0
    cpu.pointee.x87_tags = 0
    cpu.pointee.x87_ip = 0
    cpu.pointee.x87_dp = 0
    cpu.pointee.x87_opcode = 0
    cpu.pointee.x87_cs = 0
    cpu.pointee.x87_ds = 0
    withUnsafeMutableBytes(of: &cpu.pointee.x87) { $0.initializeMemory(as: UInt8.self, repeating: 0) }
    withUnsafeMutableBytes(of: &cpu.pointee.ymm) { $0.initializeMemory(as: UInt8.self, repeating: 0) }
    cpu.pointee.kernel_gs_base = 0
    cpu.pointee.star = 0
    cpu.pointee.lstar = 0
    cpu.pointee.cstar = 0
    cpu.pointee.sfmask = 0
    cpu.pointee.sysenter_cs = 0
    cpu.pointee.sysenter_esp = 0
    cpu.pointee.sysenter_eip = 0
    cpu.pointee.tsc_aux = 0
    cpu.pointee.tsc_offset = 0 &- cpu.now
    cpu.pointee.nonmaskable_requested = 0
    cpu.pointee.interrupt_requested = 0
    cpu.pointee.efer = 0
    cpu.pointee.cr0 = 0x6000_0010
    modelSpecific = ModelSpecificRegisters()
    begin(signature: signature, caches: 0x6000_0000)
  }

  /// INIT: as `powerOn`, but for floating point, model-specific registers and the caches' state, which stay.
  public func initialise(signature: UInt32) {
    begin(signature: signature, caches: cpu.pointee.cr0 & 0x6000_0000)
  }

  private func begin(signature: UInt32, caches: UInt64) {
    withUnsafeMutableBytes(of: &cpu.pointee.gpr) { $0.initializeMemory(as: UInt8.self, repeating: 0) }
    cpu.pointee.gpr.2 = UInt64(signature)
    cpu.rflags = 2
    cpu.pointee.cr0 = 0x10 | caches
    cpu.pointee.cr2 = 0
    cpu.pointee.cr3 = 0
    cpu.pointee.cr4 = 0
    cpu.pointee.efer = 0
    cpu.pointee.dr = (0, 0, 0, 0, 0, 0, 0xFFFF_0FF0, 0x400)
    armDebug()
    cpu.pointee.debugging = 0
    cpu.pointee.debug_hits = 0
    let data = pv_segment.paragraph(0, attributes: 0x93)
    cpu.pointee.seg = (data, pv_segment(base: 0xFFFF_0000, limit: 0xFFFF, selector: 0xF000, attributes: 0x9B), data, data, data, data)
    cpu.pointee.gdt = pv_segment(base: 0, limit: 0xFFFF, selector: 0, attributes: 0)
    cpu.pointee.idt = pv_segment(base: 0, limit: 0xFFFF, selector: 0, attributes: 0)
    cpu.pointee.ldt = pv_segment(base: 0, limit: 0xFFFF, selector: 0, attributes: 0x82)
    cpu.pointee.tr = pv_segment(base: 0, limit: 0xFFFF, selector: 0, attributes: 0x8B)
    cpu.pointee.cpl = 0
    cpu.pointee.interrupt_shadow = 0
    cpu.pointee.nonmaskable_blocked = 0
    cpu.pointee.fault_op = nil
    cpu.pointee.exit = UInt32(PV_EXIT_NONE)
    updateMode()
    cpu.pointee.rip = 0xFFFF_FFF0
    flushTranslations()
    pagingChanged()
    refreshVectorState(cpu)
  }

  /// The start-up message of another processor: goes on at vector << 12, in real mode.
  public func startUp(vector: UInt8) {
    var code = cpu.pointee.seg.1
    code.selector = UInt16(vector) << 8
    code.base = UInt64(vector) << 12
    cpu.pointee.seg.1 = code
    updateMode()
    cpu.pointee.rip = code.base
  }
}

import CHost
import Processor

extension PVCPU {
  /// Gives the processor what Xen's own privileged state looks like to a PV guest (SGDT, SMSW, XGETBV …), and connects
  /// CPUID and descriptor loads to the hypervisor. General registers and page tables are the builder's.
  public func installArchitecture(_ domain: Domain) {
    cpu.pointee.cpl = 3
    // PE MP ET NE WP AM PG.
    cpu.pointee.cr0 = 0x8005_0033
    // SCE LME LMA NX.
    cpu.pointee.efer = 0xD01
    setCR4(cr4)
    if cpu.pointee.xcr0 == 0 { cpu.pointee.xcr0 = 1 }
    cpu.pointee.gdt = pv_segment(base: 0xFFFF_8300_0000_0000, limit: 0xEFFF, selector: 0, attributes: 0)
    cpu.pointee.idt = pv_segment(base: 0xFFFF_8300_0001_0000, limit: 0xFFF, selector: 0, attributes: 0)
    cpu.pointee.ldt = pv_segment(base: 0, limit: 0, selector: 0, attributes: 0)
    cpu.pointee.tr = pv_segment(base: 0, limit: 0x67, selector: 0xE040, attributes: 0x8B)
    if vcpu.descriptorReader == nil { vcpu.descriptorReader = PageTables.makeDescriptorReader(domain, self) }
    vcpu.cpuid = { [unowned self, unowned domain] leaf, subleaf in
      domain.policy.cpuid(leaf, subleaf, domain.cpuidContext(self, prefixed: false))
    }
  }

  /// The guest's part of CR4 joins Xen's own: PAE, MCE, OSFXSR, OSXMMEXCPT, and OSXSAVE where the model has XSAVE, which
  /// makes XGETBV and XSAVE work whatever the guest set.
  func setCR4(_ guest: UInt64) {
    cr4 = guest
    cpu.pointee.cr4 = guest | 0x4_0660
  }
}

extension Domain {
  /// What a CPUID of this vCPU depends on beside the policy.
  func cpuidContext(_ v: PVCPU, prefixed: Bool) -> CPUPolicy.Context {
    let cpu = v.cpu
    let osxsave = prefixed && !v.kernelMode ? v.cr4 & (1 << 18) != 0 : true
    return CPUPolicy.Context(
      xcr0: cpu.pointee.xcr0, osxsave: osxsave, cyclesPerSecond: services.cyclesPerSecond, scale: scale)
  }
}

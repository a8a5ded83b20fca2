import CHost
import GuestMemory
import Processor

// Small pieces of a PV vCPU's state that every trap touches.

extension PVCPU {
  /// evtchn_upcall_mask: the virtual interrupt flag, inverted.
  @inline(__always) var upcallMask: UInt8 {
    get { hot.pointee.info.load(fromByteOffset: 1, as: UInt8.self) }
    set {
      if hot.pointee.infoCode.pointee != 0 { vcpu.memory.willWrite(vcpuInfo &+ VCPUInfo.upcallMask, 1) }
      hot.pointee.info.storeBytes(of: newValue, toByteOffset: 1, as: UInt8.self)
    }
  }

  /// arch.cr2 of vcpu_info.
  @inline(__always) func setInfoCR2(_ address: UInt64) {
    if hot.pointee.infoCode.pointee != 0 { vcpu.memory.willWrite(vcpuInfo &+ VCPUInfo.cr2, 8) }
    hot.pointee.info.storeBytes(of: address, toByteOffset: Int(VCPUInfo.cr2), as: UInt64.self)
  }

  /// Whether an event is pending and not masked: pending is any non-zero value, masked too. The mask has often just been stored, as a
  /// byte: a load of both at once would have to wait for that.
  @inline(__always) var hasDeliverableEvent: Bool {
    let info = UnsafeRawPointer(hot.pointee.info)
    return info.load(fromByteOffset: 1, as: UInt8.self) == 0 && info.load(as: UInt8.self) != 0
  }

  /// RIP as the guest sees it: an offset in its code segment.
  @inline(__always) var instructionPointer: UInt64 {
    return cpu.pointee.mode == 0 ? cpu.pointee.rip : (cpu.pointee.rip &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF
  }

  /// Exchanges the active GS base and page tables: guest kernel ↔ guest user.
  @inline(__always) func toggleMode() {
    kernelMode.toggle()
    let active = cpu.pointee.seg.5.base
    cpu.pointee.seg.5.base = inactiveGSBase
    inactiveGSBase = active
    vcpu.setPageTableBase((kernelMode ? kernelTable : userTable) &<< 12)
  }

  /// Sets or clears the virtual CR0.TS; with it set, the processor raises #NM at FPU instructions.
  @inline(__always) func setTaskSwitched(_ on: Bool) {
    taskSwitched = on
    if on { cpu.pointee.cr0 |= 8 } else { cpu.pointee.cr0 &= ~8 }
  }
}

/// Whether an address is in one of the two halves that 48 bits can name.
@inline(__always) func isCanonical(_ address: UInt64) -> Bool {
  let top = Int64(bitPattern: address) >> 47
  return top == 0 || top == -1
}

/// Xen's part of the address space, L4 slots 256 to 271.
enum XenHole {
  static let start: UInt64 = 0xFFFF_8000_0000_0000
  static let end: UInt64 = 0xFFFF_8800_0000_0000
  @inline(__always) static func contains(_ address: UInt64) -> Bool { address >= start && address < end }
}

/// Types of vm_assist as bits of `Domain.assists`.
public enum Assist {
  public static let writablePageTables: UInt64 = 1 << 2
  public static let architecturalIOPL: UInt64 = 1 << 4
  public static let runstateUpdateFlag: UInt64 = 1 << 5
}

/// A number as the reports show it.
func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

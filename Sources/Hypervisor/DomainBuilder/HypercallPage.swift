/// The hypercall page of a 64-bit PV guest: a stub of 32 bytes for each number, for guests that ask for one (note
/// HYPERCALL_PAGE, or MSR 0x40000000) and call it instead of executing SYSCALL themselves.
public enum HypercallPage {
  /// The 4096 bytes. What a stub leaves over is INT3.
  public static let contents: [UInt8] = {
    var page: [UInt8] = []
    page.reserveCapacity(4096)
    for number in 0..<128 {
      var stub: [UInt8]
      if number == 23 {
        // iret: push rcx; push r11; push rax; mov $23, eax; syscall. It does not come back.
        stub = [0x51, 0x41, 0x53, 0x50, 0xB8, UInt8(number), 0, 0, 0, 0x0F, 0x05]
      } else {
        // push rcx; push r11; mov $number, eax; syscall; pop r11; pop rcx; ret
        stub = [0x51, 0x41, 0x53, 0xB8, UInt8(number), 0, 0, 0, 0x0F, 0x05, 0x41, 0x5B, 0x59, 0xC3]
      }
      stub += [UInt8](repeating: 0xCC, count: 32 - stub.count)
      page += stub
    }
    return page
  }()
}

import Foundation
import Testing

@testable import Motherboard

/// A bzImage as small as can be: a setup part of three sectors with a header of protocol 2.15, then `payload`.
func smallKernel(version: UInt16 = 0x20F, code: [UInt8] = [], payload: [UInt8] = [UInt8](repeating: 0x4B, count: 5000)) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: 4 * 512)
  func put(_ offset: Int, _ value: UInt64, _ size: Int) {
    for index in 0..<size { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8)) }
  }
  put(0x1F1, 3, 1)
  put(0x1FE, 0xAA55, 2)
  // A jump over the header to the code.
  put(0x200, 0x7EEB, 2)
  put(0x202, 0x5372_6448, 4)
  put(0x206, UInt64(version), 2)
  put(0x211, 1, 1)
  put(0x22C, 0x7FFF_FFFF, 4)
  put(0x238, 2047, 4)
  put(0x258, 0x100_0000, 8)
  put(0x260, 0x20_0000, 4)
  for (index, byte) in code.enumerated() { put(0x280 + index, UInt64(byte), 1) }
  return bytes + payload
}

@Suite struct LinuxBootTests {
  private let memory = MemoryMap(bytes: 64 << 20)

  @Test func theSetupHeaderIsFilledIn() throws {
    let kernel = smallKernel()
    let boot = try LinuxBoot(image: kernel, ramdisk: [UInt8](repeating: 1, count: 5000), commandLine: "quiet", memory: memory)
    #expect(boot.setup.count == 2048)
    #expect(boot.kernel == Array(kernel[2048...]))
    #expect(boot.commandLine == Array("quiet\0".utf8))
    #expect(boot.ramdiskAddress == (63 << 20) - 0x2000)
    func field(_ offset: Int, _ size: Int) -> Int { (0..<size).reduce(0) { $0 | Int(boot.setup[offset + $1]) << ($1 * 8) } }
    #expect(field(0x210, 1) == 0xFF)
    #expect(field(0x211, 1) == 0x81)
    #expect(field(0x214, 4) == 0x10_0000)
    #expect(field(0x218, 4) == Int(boot.ramdiskAddress))
    #expect(field(0x21C, 4) == 5000)
    #expect(field(0x224, 2) == 0xDE00)
    #expect(field(0x228, 4) == 0x20000)
    var items = FirmwareItems()
    boot.offer(in: &items)
    let all = items.resolved
    #expect(all[0x07] == [0, 0, 0x10, 0])
    #expect(all[0x08] == [0x88, 0x13, 0, 0])
    #expect(all[0x0B] == [0x88, 0x13, 0, 0])
    #expect(all[0x14] == [6, 0, 0, 0])
    #expect(all[0x18] == boot.setup)
    #expect(all[0x20] == LinuxBootROM.bytes)
  }

  @Test func theRamdiskStaysWhereTheKernelReachesIt() throws {
    let boot = try LinuxBoot(image: smallKernel(), ramdisk: [1], commandLine: "", memory: MemoryMap(bytes: 5 << 30))
    #expect(boot.ramdiskAddress == 0x7FFF_F000)
    #expect(try LinuxBoot(image: smallKernel(), ramdisk: [], commandLine: "", memory: memory).ramdiskAddress == 0)
  }

  @Test func whatCannotBeBootedIsRefused() {
    func failure(_ image: [UInt8], _ ramdisk: Int = 0, _ line: String = "", _ bytes: UInt64 = 64 << 20) -> LinuxBoot.Failure? {
      do throws(LinuxBoot.Failure) {
        _ = try LinuxBoot(
          image: image, ramdisk: [UInt8](repeating: 0, count: ramdisk), commandLine: line, memory: MemoryMap(bytes: bytes))
        return nil
      } catch { return error }
    }
    #expect(failure([]) == .notBzImage)
    #expect(failure([UInt8](repeating: 0, count: 9000)) == .notBzImage)
    #expect(failure(Array(smallKernel()[..<1500])) == .notBzImage)
    #expect(failure(smallKernel(version: 0x201)) == .oldProtocol(0x201))
    #expect(failure(smallKernel(), 0, String(repeating: "x", count: 2048)) == .commandLineTooLong(bytes: 2048, limit: 2047))
    #expect(failure(smallKernel(), 0, String(repeating: "x", count: 2047)) == nil)
    #expect(failure(smallKernel(), 5000, "", 19 << 20) == .memoryTooSmall(needed: 19 << 20 | 0x2000))
    #expect(failure(smallKernel(), 5000, "", 19 << 20 | 0x2000) == nil)
    var wild = smallKernel()
    for index in 0x258..<0x264 { wild[index] = 0xFF }
    #expect(failure(wild) == .memoryTooSmall(needed: 1 << 40 | UInt64(UInt32.max) + 1 << 20))
  }

  @Test func theROMAddsUpToZero() {
    let rom = LinuxBootROM.bytes
    #expect(rom.count % 512 == 0)
    #expect(Int(rom[2]) * 512 == rom.count)
    #expect(rom.prefix(2) == [0x55, 0xAA])
    #expect(rom.reduce(0, &+) == 0)
    let header = Int(rom[0x1A])
    #expect(rom[header..<header + 4] == ArraySlice("$PnP".utf8))
    #expect(LinuxBootROM.sum(rom[header..<header + 32]) == 0)
  }

  @Test(.enabled(if: Tool.has("bash", "clang", "ld.lld", "od"), "clang and ld.lld are not installed"))
  func theEmbeddedROMIsWhatItsSourceAssemblesTo() throws {
    let made = try #require(Tool("bash")).run([Tool.root.appending(path: "Fixtures/firmware/generate.sh").path])
    let embedded = try String(
      contentsOf: Tool.root.appending(path: "Sources/Motherboard/DirectBoot/LinuxBootROM+Code.swift"), encoding: .utf8)
    #expect(made.output == embedded)
  }

  /// SeaBIOS runs the ROM, which fetches all four parts and enters the setup code as the protocol says.
  @Test(
    .enabled(
      if: Tool.has("qemu-system-x86_64") && FileManager.default.fileExists(atPath: FirmwareImage.standardBIOS),
      "QEMU or SeaBIOS is not installed"))
  func seabiosBootsTheROM() throws {
    // Status 1 + 2 * 0x21 if segments, stack, command line and the RAM disk's header field are right, else 1 + 2 * (what was wrong).
    var code: [UInt8] = [0xB3, 0x01]  // mov bl, 1
    func check(_ test: [UInt8]) { code += test + [0x75, 0] }
    check([0x8C, 0xC8, 0x3D, 0x20, 0x10])  // mov ax, cs; cmp ax, 0x1020
    code += [0x43]  // inc bx
    check([0x8C, 0xD0, 0x3D, 0x00, 0x10])  // mov ax, ss; cmp ax, 0x1000
    code += [0x43]
    check([0x8C, 0xD8, 0x3D, 0x00, 0x10])  // mov ax, ds
    code += [0x43]
    check([0x81, 0xFC, 0x00, 0xE0])  // cmp sp, 0xe000
    code += [0x43]
    check([0xB8, 0x00, 0x20, 0x8E, 0xC0, 0x26, 0x81, 0x3E, 0x00, 0x00, 0x68, 0x69])  // es = 0x2000; cmp word es:[0], "hi"
    code += [0x43]
    // The first bytes of the kernel's code at 1 MiB, by the address that wraps only without A20.
    check([0xB8, 0xFF, 0xFF, 0x8E, 0xC0, 0x26, 0x81, 0x3E, 0x10, 0x00, 0x4B, 0x4B])
    code += [0xB3, 0x21]
    let end = code.count
    for index in code.indices where index > 0 && code[index - 1] == 0x75 && code[index] == 0 { code[index] = UInt8(end - index - 1) }
    code += [0x88, 0xD8, 0xE6, 0xF4]  // mov al, bl; out 0xf4, al
    try Tool.inDirectory { directory in
      try Data(smallKernel(code: code)).write(to: directory.appending(path: "kernel"))
      try Data(LinuxBootROM.bytes).write(to: directory.appending(path: "linuxboot_dma.bin"))
      let result = try #require(Tool("timeout")).run([
        "-s", "KILL", "60", "qemu-system-x86_64",
        "-M", "pc,accel=tcg", "-m", "64", "-L", directory.path, "-L", "/usr/share/seabios", "-L", "/usr/share/qemu", "-display", "none",
        "-serial", "none", "-monitor", "none", "-net", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4", "-chardev",
        "file,id=log,path=\(directory.path)/log", "-device", "isa-debugcon,iobase=0x402,chardev=log",
        "-kernel", directory.appending(path: "kernel").path, "-append", "hi",
      ])
      let log = (try? String(contentsOf: directory.appending(path: "log"), encoding: .utf8)) ?? ""
      #expect(result.status == 1 + 2 * 0x21, "\(result.output) \(log.suffix(2000))")
      #expect(log.contains("genroms/linuxboot_dma.bin"))
    }
  }

  @Test func theBootOrderNamesDevicesByKind() throws {
    let order = try #require(BootOrder(letters: "dcn"))
    let file = order.file(
      devices: [
        .ide(channel: 0, unit: 0, kind: .disk), .network(slot: 3), .ide(channel: 1, unit: 0, kind: .cdrom),
        .ide(channel: 0, unit: 1, kind: .disk),
      ], first: LinuxBootROM.bootPath)
    #expect(
      String(decoding: file, as: UTF8.self) == """
        /rom@genroms/paravane-linuxboot.bin
        /pci@i0cf8/ide@1,1/drive@1/disk@0
        /pci@i0cf8/ide@1,1/drive@0/disk@0
        /pci@i0cf8/ide@1,1/drive@0/disk@1
        /pci@i0cf8/ethernet@3
        HALT\0
        """)
    #expect(order.cmos == (0x23, 0x40))
    #expect(BootOrder(letters: "cc") == nil)
    #expect(BootOrder(letters: "x") == nil)
  }
}

import ArgumentParser
import Foundation
import Hypervisor

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Tell what a kernel holds: packaging, ELF notes, entry.")

  @Argument(help: "A kernel: bzImage or ELF.") var file: String

  @Option(help: ArgumentHelp("Also write the unpacked kernel to a file, for a disassembler or a debugger.", valueName: "file"))
  var elf: String?

  func run() throws {
    guard let data = FileManager.default.contents(atPath: file) else {
      throw Failure.cannotOpen("\(file): cannot be read: does the file exist?")
    }
    let kernel: KernelImage
    do {
      kernel = try KernelImage.load([UInt8](data))
    } catch {
      throw Failure.malformed("\(file): \(error)")
    }
    if let elf, !FileManager.default.createFile(atPath: elf, contents: Data(kernel.elf)) {
      throw Failure.cannotOpen("\(elf): cannot be written: does the directory exist, and may you write there?")
    }
    func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
    let notes = kernel.notes
    print("packaging        \(kernel.packaging.joined(separator: ", "))")
    print("loaded at        \(hexadecimal(kernel.start)) to \(hexadecimal(kernel.end)) (pseudo-physical)")
    for part in kernel.parts {
      print("  part           \(hexadecimal(part.address)): \(part.fileSize) bytes of \(part.memorySize)")
    }
    print("guest            \(notes.guestOS) \(notes.guestVersion), for \(notes.xenVersion), loader \(notes.loader)")
    print("entry            \(hexadecimal(notes.entry))")
    print("virtual base     \(hexadecimal(notes.virtualBase))")
    print("features         \(notes.features)")
    print("hypercall page   \(notes.hypercallPage.map(hexadecimal) ?? "none: hypercalls are inline")")
    print("P2M list at      \(notes.initialP2M.map(hexadecimal) ?? "after the kernel")")
  }
}

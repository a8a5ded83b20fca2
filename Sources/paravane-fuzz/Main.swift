import Foundation
import Silicon

/// `paravane-fuzz silicon …` holds the processor's engines against the host's processor, `paravane-fuzz vectors …` against what was
/// recorded on older ones; `paravane-fuzz TARGET …` gives hostile input to
/// a part, or holds the engines against each other (`sequences`).
@main
struct Main {
  static func main() {
    var arguments = Array(CommandLine.arguments.dropFirst())
    guard !arguments.isEmpty else { usage() }
    let target = arguments.removeFirst()
    if target == "vectors" {
      guard let directory = arguments.first, !directory.hasPrefix("--") else { usage() }
      exit(VectorsCommand(directory: directory, options: Options(Array(arguments.dropFirst()))).run())
    }
    let options = Options(arguments)
    switch target {
    case "silicon": exit(SiliconCommand(options: options).run())
    case "targets": print(names.joined(separator: "\n"))
    default: exit(fuzz(target, FuzzCommand(name: target, options: options)))
    }
  }

  /// The targets that take hostile input.
  static let names = [
    "decoder", "configuration", "compression", "kernel", "hypercalls", "pagetables", "xenstore", "rings", "qcow2", "sequences",
    "sequences32", "vga", "paging", "chipset", "ide", "monitor", "ethernet", "interrupts", "timers", "legacy",
  ]

  private static func fuzz(_ target: String, _ command: FuzzCommand) -> Int32 {
    switch target {
    case "decoder": command.run(DecoderTarget.self)
    case "configuration": command.run(ConfigurationTarget.self)
    case "compression": command.run(CompressionTarget.self)
    case "kernel": command.run(KernelTarget.self)
    case "hypercalls": command.run(HypercallTarget.self)
    case "pagetables": command.run(PageTableTarget.self)
    case "xenstore": command.run(StoreTarget.self)
    case "rings": command.run(RingTarget.self)
    case "qcow2": command.run(ImageTarget.self)
    case "ide": command.run(IDETarget.self)
    case "ethernet": command.run(EthernetTarget.self)
    case "sequences": command.run(SequenceTarget.self)
    case "sequences32": command.run(NarrowSequenceTarget.self)
    case "paging": command.run(PagingTarget.self)
    case "vga": command.run(VGATarget.self)
    case "monitor": command.run(MonitorTarget.self)
    case "chipset": command.run(ChipsetTarget.self)
    case "interrupts": command.run(InterruptTarget.self)
    case "timers": command.run(TimerTarget.self)
    case "legacy": command.run(LegacyTarget.self)
    default: usage()
    }
  }

  static func usage() -> Never {
    let text = """
      usage: paravane-fuzz TARGET [--seconds N] [--seed N] [--first N] [--count N] [--verbose]
             TARGET: \(names.joined(separator: ", "))
             paravane-fuzz silicon [--seed N] [--count N] [--only MNEMONIC[,MNEMONIC…]] [--jobs N] [--first N] [--translator] [--length N] [--strict] [--samples N]
             paravane-fuzz vectors DIRECTORY [--only PREFIX] [--count N] [--samples N] [--files] [--show REASON]
      """
    FileHandle.standardError.write(Data((text + "\n").utf8))
    exit(64)
  }
}

/// `--name value` pairs; a name without a value is "".
struct Options {
  private var values: [String: String] = [:]

  init(_ arguments: [String]) {
    var index = 0
    while index < arguments.count {
      let name = arguments[index]
      index += 1
      guard name.hasPrefix("--") else { Main.usage() }
      if index < arguments.count, !arguments[index].hasPrefix("--") {
        values[String(name.dropFirst(2))] = arguments[index]
        index += 1
      } else {
        values[String(name.dropFirst(2))] = ""
      }
    }
  }

  func number(_ name: String, _ standard: UInt64) -> UInt64 {
    guard let text = values[name] else { return standard }
    guard let value = UInt64(text) else { Main.usage() }
    return value
  }
  func text(_ name: String) -> String? { values[name] }
  func has(_ name: String) -> Bool { values[name] != nil }
}

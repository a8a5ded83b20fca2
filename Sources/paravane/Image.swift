import ArgumentParser
import Foundation
import Storage

/// Disk images, with the options that qemu-img has for the same work.
struct Image: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make, look at, check and convert disk images.",
    subcommands: [ImageCreate.self, ImageShow.self, ImageCheck.self, ImageConvert.self])
}

struct ImageCreate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make an empty image, or an overlay over another.",
    discussion: """
      SIZE is in bytes, or with a suffix: k, M, G, T, P, E. Options of -o, qcow2 only: cluster_size (512 to 2M), compat (0.10 or 1.1), \
      compression_type (zlib or zstd), lazy_refcounts (on or off), refcount_bits (1 to 64), backing_file, backing_fmt; and size.
      """)

  @Option(name: .short, help: ArgumentHelp("The format: raw or qcow2.", valueName: "format")) var format = "raw"
  @Option(name: .short, help: ArgumentHelp("The image that the new one starts as.", valueName: "backing")) var backing: String?
  @Option(name: [.customShort("F")], help: ArgumentHelp("The format of the backing image.", valueName: "format")) var backingFormat: String?
  @Option(name: .short, help: ArgumentHelp("Options: key=value,…", valueName: "options")) var options: [String] = []
  @Argument(help: "The image to make; a file of that name is replaced.") var file: String
  @Argument(help: "Size of the disk; without it, the backing image's.") var size: String?

  func run() throws {
    var settings = try ImageSettings(options)
    let format = try imageFormat(format, option: "-f")
    let bytes = try size.map { try imageSize($0) } ?? settings.size
    if let backing { settings.backing = backing }
    if let backingFormat { settings.backingFormat = try imageFormat(backingFormat, option: "-F") }
    switch format {
    case .raw:
      guard settings.backing == nil, settings.isPlain else { throw Failure.usage("\(file): a raw image has no such options: say -f qcow2") }
      guard let bytes else { throw Failure.usage("\(file): say how large: for example 10G") }
      try storage { () throws(StorageError) in try ImageFile(creating: file).truncate(to: bytes) }
    case .qcow2:
      guard settings.backing == nil || settings.backingFormat != nil else {
        throw Failure.usage("\(file): the backing image's format is not known: say -F raw or -F qcow2")
      }
      guard bytes != nil || settings.backing != nil else { throw Failure.usage("\(file): say how large: for example 10G") }
      let chosen = settings
      try storage { () throws(StorageError) in
        try Qcow2Image.create(
          path: file, size: bytes, clusterBits: chosen.clusterBits, backing: chosen.backing, backingFormat: chosen.backingFormat,
          compression: chosen.compression, lazyRefcounts: chosen.lazyRefcounts, version: chosen.version, refcountOrder: chosen.refcountOrder
        )
      }
    }
  }
}

struct ImageShow: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "info", abstract: "Say what an image is. A guest may be using it.")

  @Option(name: .short, help: ArgumentHelp("The format; without it, what the file looks like.", valueName: "format")) var format: String?
  @Option(help: ArgumentHelp("human or json.", valueName: "form")) var output = "human"
  @Argument(help: "The image.") var file: String

  func run() throws {
    let format = try format.map { try imageFormat($0, option: "-f") }
    let info = try storage { () throws(StorageError) in try ImageInfo(path: file, format: format) }
    if try wantsJSON(output) { return try printJSON(info) }
    print("image: \(info.path)\nfile format: \(info.format)")
    print("virtual size: \(readable(info.virtualSize)) (\(info.virtualSize) bytes)\ndisk size: \(readable(info.allocatedSize))")
    if let size = info.clusterSize { print("cluster_size: \(size)") }
    if let name = info.backing {
      let resolved = info.backingPath.flatMap { $0 == name ? nil : " (actual path: \($0))" } ?? ""
      print("backing file: \(name)\(resolved)")
    }
    if let format = info.backingFormat { print("backing file format: \(format)") }
    for snapshot in info.snapshots ?? [] {
      print("snapshot: \(snapshot.id) \(snapshot.name) (disk \(readable(snapshot.diskSize)), state \(readable(snapshot.stateSize)))")
    }
    if let version = info.version {
      print("compat: \(version == 2 ? "0.10" : "1.1")\ncompression type: \(info.compression ?? "zlib")")
      print("lazy refcounts: \(info.lazyRefcounts == true)\nrefcount bits: \(info.refcountBits ?? 16)")
      print("dirty: \(info.dirty == true)\ncorrupt: \(info.corrupt == true)")
    }
  }
}

struct ImageCheck: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check a qcow2 image that nobody uses, and mend it.",
    discussion: "Exit status 0: clean, or mended; 2: corrupt; 3: clusters are leaked, nothing else; 65, 66: it cannot be checked.")

  @Option(name: .short, help: ArgumentHelp("Mend leaks only, or all.", valueName: "leaks|all")) var repair: String?
  @Option(name: .short, help: ArgumentHelp("The format: qcow2.", valueName: "format")) var format: String?
  @Option(help: ArgumentHelp("human or json.", valueName: "form")) var output = "human"
  @Argument(help: "The image.") var file: String

  func run() throws {
    let mode: Qcow2Repair
    switch repair {
    case nil: mode = .none
    case "leaks": mode = .leaks
    case "all": mode = .all
    case .some(let text): throw Failure.usage("-r \(text) is none of leaks, all")
    }
    if let format, try imageFormat(format, option: "-f") == .raw { throw Failure.usage("\(file): a raw image has nothing to check") }
    let report = try storage { () throws(StorageError) in try Qcow2Image.check(path: file, repair: mode) }
    if try wantsJSON(output) {
      try printJSON(report)
    } else {
      for finding in report.findings { print(finding) }
      if report.corruptionsFixed + report.leaksFixed > 0 {
        print("mended: \(report.corruptionsFixed) errors, \(report.leaksFixed) leaked clusters")
      }
      print(
        report.isClean
          ? "No errors were found on the image."
          : "\(report.corruptions) errors and \(report.leaks) leaked clusters were found on the image.")
      if report.corruptions > 0 && mode == .none {
        print("Data may be lost: copy the image, then run 'paravane image check -r all \(file)'.")
      }
      let compressed = report.compressedClusters > 0 ? ", \(report.compressedClusters) of them compressed" : ""
      print("\(report.allocatedClusters)/\(report.totalClusters) clusters allocated\(compressed)\nImage end offset: \(report.imageEnd)")
    }
    if report.corruptions > 0 { throw ExitCode(2) }
    if report.leaks > 0 { throw ExitCode(3) }
  }
}

struct ImageConvert: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Copy a disk into a new image of any format; zeros take no space in it.")

  @Option(name: .short, help: ArgumentHelp("The source's format; without it, what the file looks like.", valueName: "format"))
  var format: String?
  @Option(name: [.customShort("O")], help: ArgumentHelp("The new image's format: raw or qcow2.", valueName: "format")) var outputFormat =
    "raw"
  @Flag(name: [.customShort("c")], help: "Compress (qcow2).") var compressed = false
  @Option(name: .short, help: ArgumentHelp("Options: key=value,… as of create.", valueName: "options")) var options: [String] = []
  @Flag(name: [.customShort("p")], help: "Show the progress on standard error.") var progress = false
  @Argument(help: "The image to read.") var source: String
  @Argument(help: "The image to make; a file of that name is replaced.") var target: String

  func run() throws {
    let settings = try ImageSettings(options)
    let source = source
    let target = target
    var conversion = ImageConversion(format: try imageFormat(outputFormat, option: "-O"), compressed: compressed)
    guard settings.backing == nil, settings.size == nil else {
      throw Failure.usage("\(target): a conversion takes neither a backing image nor a size")
    }
    guard conversion.format == .qcow2 || (settings.isPlain && !compressed) else {
      throw Failure.usage("\(target): a raw image has no such options: say -O qcow2")
    }
    conversion.clusterBits = settings.clusterBits
    conversion.compression = settings.compression
    conversion.lazyRefcounts = settings.lazyRefcounts
    conversion.version = settings.version
    conversion.refcountOrder = settings.refcountOrder
    let from = try format.map { try imageFormat($0, option: "-f") }
    var shown: UInt64 = 101
    let wantsProgress = progress
    try storage { () throws(StorageError) in
      try convertImage(from: source, sourceFormat: from, to: target, conversion) { done, total in
        let percent = total == 0 ? 100 : UInt64(Double(done) * 100 / Double(total))
        guard wantsProgress, percent != shown else { return }
        shown = percent
        FileHandle.standardError.write(Data("\r\(percent) %".utf8))
      }
    }
    if wantsProgress { FileHandle.standardError.write(Data("\n".utf8)) }
  }
}

// MARK: Shared by the commands

/// The options of `-o`.
struct ImageSettings {
  var size: UInt64?
  var clusterBits = 16
  var version = 3
  var compression = Qcow2Compression.zlib
  var lazyRefcounts = false
  var refcountOrder = 4
  var backing: String?
  var backingFormat: ImageFormat?
  /// No option of qcow2 was given.
  var isPlain = true

  init(_ lists: [String]) throws {
    for list in lists {
      for pair in list.split(separator: ",") {
        let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { throw Failure.usage("-o \(pair): say key=value") }
        try set(parts[0], parts[1])
      }
    }
  }

  private mutating func set(_ key: String, _ value: String) throws {
    if key != "size" { isPlain = false }
    switch key {
    case "size": size = try imageSize(value)
    case "backing_file": backing = value
    case "backing_fmt": backingFormat = try imageFormat(value, option: "-o backing_fmt")
    case "cluster_size":
      let bytes = try imageSize(value)
      guard bytes.nonzeroBitCount == 1, (512...2 << 20).contains(bytes) else {
        throw Failure.usage("-o cluster_size=\(value): say a power of two from 512 to 2M")
      }
      clusterBits = bytes.trailingZeroBitCount
    case "compat":
      switch value {
      case "0.10", "v2": version = 2
      case "1.1", "v3": version = 3
      default: throw Failure.usage("-o compat=\(value): say 0.10 or 1.1")
      }
    case "compression_type":
      guard let type = Qcow2Compression.allCases.first(where: { $0.name == value }) else {
        throw Failure.usage("-o compression_type=\(value): say zlib or zstd")
      }
      compression = type
    case "lazy_refcounts":
      guard value == "on" || value == "off" else { throw Failure.usage("-o lazy_refcounts=\(value): say on or off") }
      lazyRefcounts = value == "on"
    case "refcount_bits":
      guard let bits = Int(value), (1...64).contains(bits), bits.nonzeroBitCount == 1 else {
        throw Failure.usage("-o refcount_bits=\(value): say a power of two from 1 to 64")
      }
      refcountOrder = bits.trailingZeroBitCount
    case "preallocation" where value == "off", "encryption" where value == "off", "extended_l2" where value == "off": break
    default: throw Failure.usage("-o \(key)=\(value) is not available")
    }
  }
}

/// A number of bytes with an optional suffix, rounded up to whole sectors of 512.
private func imageSize(_ text: String) throws -> UInt64 {
  let suffixes: [Character: Double] = ["b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60]
  var digits = Substring(text)
  var scale = 0.0
  if let last = text.last, let power = suffixes[Character(last.lowercased())] {
    scale = power
    digits = digits.dropLast()
  }
  let value: UInt64
  if let whole = UInt64(digits) {
    let (product, overflow) = whole.multipliedReportingOverflow(by: UInt64(pow(2, scale)))
    guard !overflow else { throw Failure.usage("the size \(text) is larger than an image can be") }
    value = product
  } else {
    guard let number = Double(digits), number >= 0, number * pow(2, scale) < pow(2, 63) else {
      throw Failure.usage("the size '\(text)' is no number with k, M, G, T, P or E behind it")
    }
    value = UInt64(number * pow(2, scale))
  }
  guard value <= UInt64(Int64.max) - 512 else { throw Failure.usage("the size \(text) is larger than an image can be") }
  return (value + 511) / 512 * 512
}

private func imageFormat(_ text: String, option: String) throws -> ImageFormat {
  guard let format = ImageFormat(rawValue: text) else { throw Failure.usage("\(option) \(text) is none of raw, qcow2") }
  return format
}

/// Does work on images; its errors become those of the command line.
private func storage<T>(_ work: () throws(StorageError) -> T) throws -> T {
  do throws(StorageError) {
    return try work()
  } catch {
    switch error {
    case .cannotOpen, .locked, .host: throw Failure.cannotOpen("\(error)")
    case .malformed, .unsupported: throw Failure.malformed("\(error)")
    }
  }
}

private func wantsJSON(_ form: String) throws -> Bool {
  guard form == "human" || form == "json" else { throw Failure.usage("--output \(form) is none of human, json") }
  return form == "json"
}

private func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  print(String(decoding: try encoder.encode(value), as: UTF8.self))
}

/// A size for people: 1.5 GiB.
private func readable(_ bytes: UInt64) -> String {
  var value = Double(bytes)
  for unit in ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] {
    if value < 1024 { return unit == "B" ? "\(bytes) B" : String(format: "%.3g %@", value, unit) }
    value /= 1024
  }
  return String(format: "%.3g EiB", value)
}

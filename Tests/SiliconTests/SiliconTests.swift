import Random
import Testing

@testable import Silicon

/// A few rounds of every form on the host's processor and in both engines. `paravane-fuzz silicon` runs millions.
@Suite(.serialized) struct SiliconTests {
  @Test(arguments: [false, true]) func everyFormIsAsOnTheProcessor(translating: Bool) throws {
    let campaign: SiliconCampaign
    do {
      campaign = try SiliconCampaign(seed: 20, isTranslating: translating)
    } catch {
      // Another kind of host: nothing to compare with.
      return
    }
    let report = campaign.run(first: 0, end: UInt64(campaign.forms.count) * 3)
    #expect(report.kinds == [:])
    for sample in report.samples { Issue.record(Comment(rawValue: sample)) }
    // A case whose encoding chance does not hit is left out; no form may be left out altogether.
    #expect(campaign.forms.filter { report.compared[Int($0.id)] == 0 }.map(\.mnemonic.name) == [])
  }

  @Test(arguments: [false, true]) func sequencesAreAsOnTheProcessor(translating: Bool) throws {
    guard let campaign = try? SiliconCampaign(seed: 21, isTranslating: translating, longest: 6) else { return }
    let report = campaign.run(first: 0, end: 2000)
    #expect(report.executions > 1900)
    for sample in report.samples { Issue.record(Comment(rawValue: sample)) }
  }

  @Test func everyFormIsComparedOrHasAReason() throws {
    guard let campaign = try? SiliconCampaign(seed: 1) else { return }
    #expect(campaign.excluded.allSatisfy { !$0.reason.isEmpty })
    // A host with everything leaves out what is in the table and what 64-bit mode does not have.
    #expect(campaign.forms.count > 1200)
  }

  @Test func casesAreTheSameEveryTime() throws {
    guard let one = try? SiliconCampaign(seed: 5, only: ["add", "fadd", "vpaddd"]) else { return }
    let other = try SiliconCampaign(seed: 5, only: ["add", "fadd", "vpaddd"])
    func bytes(_ campaign: SiliconCampaign, _ index: UInt64) -> [UInt8]? {
      var random = SeededRandom(seed: 5, index: index)
      return campaign.generator.make(campaign.forms[Int(index % UInt64(campaign.forms.count))], &random)?.bytes
    }
    for index in 0..<50 as Range<UInt64> { #expect(bytes(one, index) == bytes(other, index)) }
  }
}

/// Programs with everything in them, on both engines (`paravane-fuzz sequences`).
@Suite struct EngineSequencesTests {
  @Test(arguments: [false, true]) func theEnginesAgreeOnPrograms(narrow: Bool) throws {
    // A host without executable memory has no translator.
    guard var sequences = try? EngineSequences(narrow: narrow) else { return }
    for index in 0..<60 as Range<UInt64> {
      var random = SeededRandom(seed: 11, index: index)
      let problem = try sequences.run(&random)
      #expect(problem == nil, "round \(index): \(problem ?? "")")
    }
    #expect(sequences.translations > 60 && sequences.instructions > 60_000)
    for kind in ["deadline", "exception 14", "exception 13", "system call"] + (narrow ? [] : ["exception 16"]) {
      #expect(sequences.ends[kind, default: 0] > 0, "\(kind)")
    }
  }
}

/// Page tables of the guest's own (`paravane-fuzz paging`).
@Suite struct PagingStormTests {
  @Test func whatIsKeptIsWhatTheTablesSay() throws {
    guard var storm = try? PagingStorm() else { return }
    for index in 0..<40 as Range<UInt64> {
      var random = SeededRandom(seed: 3, index: index)
      let problem = storm.run(&random)
      #expect(problem == nil, "round \(index): \(problem ?? "")")
    }
    #expect(storm.steps > 4000 && storm.faults > 1000 && storm.calls > 10 && storm.watched.began > 400 && storm.watched.ended > 400)
  }
}

"""The whole error tree. Each error has a stable code, an HTTP status and a sentence for people.

    TanpuhuiError
    ├── InvalidInput (400/422)     the request cannot be understood: InvalidField, UnknownKind, ...
    ├── NotAuthenticated (401)     nobody is logged in, or the token is not known
    ├── NotAllowed (403)           logged in, but not for this
    ├── NotFound (404)             no such thing, or none that you may see
    ├── Conflict (409)             true in itself, but not with what is already recorded
    ├── Refused (409/410/422)      a scan that cannot be credited, with the reason a resident understands
    ├── TooMany (429)              slow down; says when to come back
    └── Unavailable (503)          only time can mend it; the same request may be sent again

The web layer turns them into problem+json or a page, in the user's language. Texts are Chinese sources.
"""

from typing import Any

from tanpuhui.i18n import N_


class TanpuhuiError(Exception):
    """Something unexpected went wrong. Base of every error; `params` fill the sentence.

    `next_step` says what one can do now. It stands under the sentence on a page of its own and beside a form alike.
    """

    code = "internal_error"
    status = 500
    text = N_("系统出了点问题，您的记录没有丢失，请稍后再试。")
    next_step = N_("过一会儿还是不行的话，请把代码告诉工作人员。")

    def __init__(self, **params: Any) -> None:
        super().__init__(self.code)
        self.params = params

    def __str__(self) -> str:
        return f"{self.code}: {self.text % self.params if self.params else self.text}"


# --- input -------------------------------------------------------------------------------------------------


class InvalidInput(TanpuhuiError):
    """The request cannot be understood."""

    code, status, text = "invalid_request", 400, N_("收到的内容看不懂。")
    next_step = N_("请检查后再试一次。")


class InvalidField(InvalidInput):
    """Some fields are missing, unknown or out of shape; `errors` lists each with its reason."""

    code, status, text = "invalid_fields", 422, N_("有内容填写不正确，请检查后再提交。")
    next_step = N_("请改正后再提交一次。")


class InvalidReference(InvalidInput):
    """Reference files hold bad rows; `errors` lists file, line, column and reason."""

    code, status, text = "invalid_reference", 422, N_("参考数据有误，未载入任何内容。")
    next_step = N_("请改正列出的各行，再载入一次。")


class MissingIdempotencyKey(InvalidInput):
    """A scan without its key cannot be repeated safely."""

    code, status, text = "idempotency_key_missing", 400, N_("请求缺少 Idempotency-Key。")


class InvalidIdempotencyKey(InvalidInput):
    """Not 1 to 128 printable characters."""

    code, status, text = "idempotency_key_invalid", 400, N_("Idempotency-Key 应为 1 到 128 个可见字符。")


class Unprintable(InvalidInput):
    """A poster would show an empty box, or cannot hold its words: the font lacks `characters`."""

    code, status, text = "unprintable", 422, N_("海报上印不出或放不下这些字：%(characters)s。")
    next_step = N_("请把这些字换成别的写法。")


class TooLarge(InvalidInput):
    """The body is larger than any honest request."""

    code, status, text = "body_too_large", 413, N_("提交的内容太大。")
    next_step = N_("一次最多提交 64 KB，大约七千个汉字。请返回上一页，删短一些再提交，填写的内容还在。")


class FileTooLarge(InvalidInput):
    """The file is larger than the form takes."""

    code, status, text = "file_too_large", 413, N_("这个文件太大。")
    next_step = N_("请返回上一页，换一个小一些的文件再传，填写的内容还在。")


class UnsupportedMedia(InvalidInput):
    """Not JSON where JSON is asked for."""

    code, status, text = "unsupported_media_type", 415, N_("请以 JSON 提交。")
    next_step = N_("请在请求头里写明 Content-Type: application/json。")


class AddressTooLong(InvalidInput):
    """The address is longer than any link of ours."""

    code, status, text = "address_too_long", 414, N_("网址太长，打不开。")
    next_step = N_("链接可能在复制时多带了文字。请检查网址，或从首页进入。")


class MethodNotAllowed(InvalidInput):
    """The address exists but not for this method."""

    code, status, text = "method_not_allowed", 405, N_("这个网址不能这样打开。")
    next_step = N_("请从首页或菜单进入。")


# --- who ---------------------------------------------------------------------------------------------------


class NotAuthenticated(TanpuhuiError):
    """Nobody is logged in, or the token is not known."""

    code, status, text = "not_authenticated", 401, N_("请先登录。")
    next_step = N_("登录后再试一次。")


class WrongLogin(NotAuthenticated):
    """Name or password wrong; never says which."""

    code, text = "wrong_login", N_("用户名或密码不正确。")
    next_step = N_("请核对后再试。忘记密码的话，请找管理员。")


class WrongLoginCode(NotAuthenticated):
    """The one-time code is wrong, used or expired; never says which."""

    code, text = "wrong_login_code", N_("验证码不正确或已过期，请重新获取。")
    next_step = N_("请核对最近一条短信里的 6 位数字。")


class IdentityRefused(NotAuthenticated):
    """The person, or the identity provider, said no on the provider's own page."""

    code, text = "identity_refused", N_("对方页面上没有同意登录。")


class IdentityLoginLost(NotAuthenticated):
    """The log-in that came back was not begun in this browser, or was used or given up before."""

    code, text = "identity_login_lost", N_("这次登录已经用过或过期了，请重新开始。")


class IdentityNotProven(NotAuthenticated):
    """What the identity provider sent does not prove who is there. `reason` says what was wrong with it."""

    code, text = "identity_not_proven", N_("没能确认您的身份，所以没有登录。")


class NotAllowed(TanpuhuiError):
    """Logged in, but without the role or outside the scope."""

    code, status, text = "not_allowed", 403, N_("您没有权限进行此操作。")
    next_step = N_("如果您应该能做这件事，请管理员给您加上权限，或换一个账号登录。")


class PersonsOnly(NotAllowed):
    """It belongs to a person, and this browser acts for the family."""

    code, text = "persons_only", N_("这一项属于您本人，不属于家庭账户。")
    next_step = N_("请在页面上方切换到“我”，再试一次。")


class ReviewerIsProposer(NotAllowed):
    """Who proposed a factor does not review it, too."""

    code, text = "reviewer_is_proposer", N_("提案人不能复核自己的提案，请另一位工作人员复核。")
    next_step = N_("把这一页的网址发给另一位工作人员就可以。")


class ApproverIsSubmitter(NotAllowed):
    """Who submitted a campaign cannot approve it."""

    code, text = "approver_is_submitter", N_("提交活动的人不能审批自己的活动。")
    next_step = N_("请另一位工作人员审批。")


class CancellerIsPublisher(NotAllowed):
    """Who published a factor does not cancel it, too."""

    code, text = "canceller_is_publisher", N_("发布人不能取消自己发布的版本，请另一位工作人员取消。")


class JudgesOwnRecords(NotAllowed):
    """Who records, or runs the site, does not judge the records of it in a spot check."""

    code, text = "judges_own_records", N_("自己登记的记录、自己组织的点位，不能由自己抽查。")
    next_step = N_("请另一位工作人员来看这条记录。")


class VoucherElsewhere(NotAllowed):
    """The voucher is of another merchant, or of a place outside the scope."""

    code, text = "voucher_elsewhere", N_("这张券不是在您这里用的。")
    next_step = N_("请居民看券上写的领取地点。券没有动，照样有效。")


class DeciderIsNominator(NotAllowed):
    """Who nominated somebody for an honour does not decide on it, too."""

    code, text = "decider_is_nominator", N_("提名人不能评定自己的提名，请另一位工作人员评定。")
    next_step = N_("把这一页的网址发给另一位工作人员就可以。")


class ApproverIsProposer(NotAllowed):
    """Who proposed an adjustment of points does not decide on it, too."""

    code, text = "approver_is_proposer", N_("提出调整的人不能自己批准，请另一位工作人员决定。")
    next_step = N_("把这一页的网址发给另一位工作人员就可以。")


class ChildsAccount(NotAllowed):
    """A school class, or a guardian who joined for a child, accepts no honour in a person's name."""

    code, text = "childs_account", N_("孩子用的账户不能以个人接受荣誉，孩子的名字不公开。")
    next_step = N_("孩子的荣誉请由学校以班级提名，只显示班级名称。")


class FormExpired(NotAllowed):
    """The form's protection token is missing or too old."""

    code, status, text = "form_expired", 400, N_("页面放得太久，刚才没有提交成功。")
    next_step = N_("请核对填写的内容，再提交一次。")


class NotFound(TanpuhuiError):
    """No such thing, or none that you may see."""

    code, status, text = "not_found", 404, N_("没有找到您要的内容。")
    next_step = N_("请检查网址是否完整，或从首页重新找。")


class NoFamily(NotFound):
    """The resident shares no family account."""

    code, text = "no_family", N_("您还没有家庭账户。")
    next_step = N_("可以在“我的”里建一个，或请另一位监护人邀请您。")


# --- conflicts ---------------------------------------------------------------------------------------------


class Conflict(TanpuhuiError):
    """True in itself, but not with what is already recorded."""

    code, status, text = "conflict", 409, N_("与已有记录冲突。")
    next_step = N_("请看看最新的情况，再决定怎么做。")


class KeyReused(Conflict):
    """The same idempotency key came with another body."""

    code, text = "idempotency_key_reused", N_("同一个 Idempotency-Key 已用于另一个请求。")
    next_step = N_("请从头再来一次。")


class InFamilyAlready(Conflict):
    """Whoever shares a family already, or the same one, cannot share another."""

    code, text = "in_family_already", N_("您已经有家庭账户了，一个人只能共用一个。")
    next_step = N_("想换一个的话，请先在“家庭账户”里结束共用。")


class FamilyFull(Conflict):
    """Two guardians share the family already."""

    code, text = "family_full", N_("这个家庭账户已经有两位监护人共用。")
    next_step = N_("其中一位结束共用后，才能再邀请别人。")


class OtherResident(Conflict):
    """The scan was confirmed on this phone by another resident than the one who is logged in now."""

    code, text = "other_resident", N_("这次扫码是用另一个账号确认的，没有记到现在登录的账号上。")
    next_step = N_("请用那个账号登录后查看，或重新扫一次码。")


class IdentityTaken(Conflict):
    """The identity lets another resident in."""

    code, text = "identity_taken", N_("这个身份已经用于另一个账户，没有关联。")


class OtherIdentityLinked(Conflict):
    """Another identity of the same provider lets this resident in."""

    code, text = "other_identity_linked", N_("您的账户已经关联了另一个身份，请先解除，再关联这一个。")


class LastWayIn(Conflict):
    """Without this way of logging in the resident could not come in at all."""

    code, text = "last_way_in", N_("这是您唯一的登录方式，解除后就登录不了了，所以没有解除。")


class AlreadyVoided(Conflict):
    """The action was voided before."""

    code, text = "already_voided", N_("这条记录已经撤销。")


class WaitsForReview(Conflict):
    """The record waits for review: it is confirmed or rejected, not voided."""

    code, text = "waits_for_review", N_("这条记录还在等待审核，请先审核：通过或者不通过。")


class AlreadyReviewed(Conflict):
    """The record was confirmed or rejected before."""

    code, text = "already_reviewed", N_("这条记录已经审核过了，审核只做一次。")


class CampaignMovedOn(Conflict):
    """The campaign is not where that can be done: say, decided meanwhile, or over."""

    code, status, text = "campaign_moved_on", 409, N_("活动的状态已经变了，这一步做不了。")
    next_step = N_("请刷新页面，看看活动现在的状态。")


class AlreadyJudged(Conflict):
    """Somebody said before what they found of the record in this spot check."""

    code, text = "already_judged", N_("这条记录已经看过了，每条只看一次。")


class HandOverConfirmed(Conflict):
    """Who received the material confirmed it before: a hand-over is confirmed once."""

    code, text = "hand_over_confirmed", N_("这次交接已经确认过了，每次只确认一次。")
    next_step = N_("请看看确认的重量。如果有误，请冲销这次交接，再登记一次。")


class HandOverReversed(Conflict):
    """The hand-over was taken back before."""

    code, text = "hand_over_reversed", N_("这次交接已经冲销，不再计入。")
    next_step = N_("请看看是否已经重新登记。")


class AlarmMoved(Conflict):
    """The weights of the alarm have changed since it was read, or it was answered before."""

    code, text = "alarm_moved", N_("这条异常已经变了：重量有改动，或已有人说明了原因。")
    next_step = N_("请刷新页面，看看最新的数字。")


class AlreadyRevoked(Conflict):
    """The code to be replaced was withdrawn before."""

    code, text = "already_revoked", N_("这张码已经停用，请刷新页面查看新码。")


class ProposalMoved(Conflict):
    """The proposal is not in a state from which this step is taken. `state` is the one it is in."""

    code, text = "proposal_moved", N_("这项提案的状态已经变了，请看过现在的状态再处理。")


class ProposalChanged(Conflict):
    """The proposal was amended after the reviewer had opened it."""

    code, text = "proposal_changed", N_("提案在您打开之后有改动，请看过新的内容再复核。")


class ObservanceChanged(Conflict):
    """Somebody else changed the observance since this form was opened."""

    code, text = "observance_changed", N_("刚刚有人改过这个日子，您填写的还没有保存。")
    next_step = N_("请看一看现在的日期，仍要修改就再保存一次。")


class TargetChanged(Conflict):
    """Somebody else changed the target, or the task, since this form was opened."""

    code, text = "target_changed", N_("刚刚有人改过这一项，您填写的还没有保存。")
    next_step = N_("请看一看现在的内容，仍要修改就再保存一次。")


class TargetHeld(Conflict):
    """A target with parts or open tasks is not withdrawn."""

    code, text = "target_held", N_("这项目标下面还有分目标或未办结的任务，没有撤回。")
    next_step = N_("请先撤回分目标，办结或取消任务。")


class TaskClosed(Conflict):
    """The task was done or dropped before."""

    code, text = "task_closed", N_("这项任务已经办结或取消，不能再改。")


class FactorOverlap(Conflict):
    """The validity of a factor shares days with a published version of its kind."""

    code, text = "factor_overlap", N_("有效期与已发布的版本重叠，没有发布。")
    next_step = N_("请改一改有效期的起止日。")


class FactorClosed(Conflict):
    """The end of a version's validity was set before; it is set once."""

    code, text = "factor_closed", N_("这个版本的最后有效日早已确定，不能再改。")
    next_step = N_("要改动的话，请提出一个新版本。")


class FactorBegun(Conflict):
    """Only a version that has not begun, and that no record uses, can be cancelled."""

    code, text = "factor_begun", N_("这个版本已经生效，不能取消。请发布新版本，或给它定最后有效日。")


class FactorCancelled(Conflict):
    """The version was cancelled before it began."""

    code, text = "factor_cancelled", N_("这个版本已经取消。")


class InsufficientPoints(Conflict):
    """A transfer would take an account below zero."""

    code, text = "insufficient_points", N_("积分不足。")
    next_step = N_("请选积分少一点的，或先多攒一些。")


class PointsSpent(InsufficientPoints):
    """The points of an action to be voided have been spent already."""

    code, text = "points_spent", N_("这条记录的积分已被使用，暂时无法撤销。")
    next_step = N_("等这位居民的积分足够时再撤销。")


class AlreadyDeclared(Conflict):
    """The action to be voided stands in a declaration to the city."""

    code, text = "already_declared", N_("这条记录已随申报上报市级，须先撤回该申报。")
    next_step = N_("在“申报”里撤回以后，再来撤销这条记录。")


class NothingToDeclare(Conflict):
    """No record of the methodology and period can be declared: none was made, or all are declared already."""

    code, text = "nothing_to_declare", N_("这段时间没有可以上报的记录，或都已上报。")
    next_step = N_("请换一段时间，或换一个方法学。")


class EstimateChanged(Conflict):
    """What would be declared is no longer what the officer was shown."""

    code, text = "estimate_changed", N_("核对之后，这段时间的记录有了变化，请重新核对。")


class DeclarationMovedOn(Conflict):
    """The step was taken before, or another that excludes it. `state` is where the declaration stands."""

    code, text = "declaration_moved_on", N_("这份申报已经办到别的状态了，请看最新的情况。")


class SignUpClosed(Conflict):
    """Nobody can sign up for the gathering any more."""

    code, text = "sign_up_closed", N_("这次活动的报名已经截止。")
    next_step = N_("当天有空位的话，可以直接到现场签到。")


class SignedUpOtherwise(Conflict):
    """The class signed up before, with another number of people."""

    code, text = "signed_up_otherwise", N_("已经报过名了，人数是 %(people)s 人。")
    next_step = N_("要改人数，请先取消报名，再重新报。")


class GatheringCancelled(Conflict):
    """The gathering does not take place."""

    code, status, text = "gathering_cancelled", 410, N_("这次活动已经取消了。")
    next_step = N_("请看看别的现场活动。")


class GatheringBegun(Conflict):
    """The gathering has begun, or somebody has checked in: nothing of it, and no sign-up, is taken back any more."""

    code, text = "gathering_begun", N_("活动已经开始，或者已经有人签到，不能再改动或取消。")
    next_step = N_("有急事请直接联系现场的组织者。")


class NotCheckInTime(Conflict):
    """Check-in for a gathering is open from `opens` to `ends`."""

    code, text = "not_check_in_time", N_("现在不能签到。签到从 %(opens)s 开始，到 %(ends)s 为止。")
    next_step = N_("请在这段时间里，到现场再签到。")


class NoPlaceLeft(Conflict):
    """Somebody comes to a gathering without having signed up, and there is no place for them."""

    code, text = "no_place_left", N_("这次活动的名额已满，没有空位了。")
    next_step = N_("请问一问现场的组织者，或看看别的现场活动。")


class StillWaiting(Conflict):
    """Who waits for a place cannot check in."""

    code, text = "still_waiting", N_("还在候补，没有轮到名额，所以不能签到。")
    next_step = N_("请问一问现场的组织者。有人取消时，会按候补的先后补上。")


class TooManyOpen(Conflict):
    """The resident has `most` complaints, suggestions and questions that wait for an answer."""

    code, text = "too_many_open", N_("您已有 %(most)s 件在等答复。等到答复，或者办结其中一件，就可以再写。")


class TooMuchSaid(Conflict):
    """The author has added `most` entries to one complaint, suggestion or question."""

    code, text = "too_much_said", N_("这一件您已经写了 %(most)s 次，请另写一件。")


class FeedbackClosed(Conflict):
    """The complaint, suggestion or question is closed."""

    code, text = "feedback_closed", N_("这一件已经办结，不能再写。如果还有问题，请另写一件。")


class FeedbackMovedOn(Conflict):
    """Something was said after the officer had opened it."""

    code, text = "feedback_moved_on", N_("您打开之后，这里有了新的内容。请看过再答复，您写的还在下面。")


class NoConsent(Conflict):
    """Nobody is honoured who has not consented, or has taken it back."""

    code, text = "no_consent", N_("对方还没有同意公开，或者已经撤回，现在不能授予。")
    next_step = N_("等对方同意以后再授予。")


class AlreadyDecided(Conflict):
    """The nomination was decided on before."""

    code, text = "already_decided", N_("这项提名已经评定过了，评定只做一次。")


class AdjustmentDecided(Conflict):
    """The adjustment of points was decided on before."""

    code, text = "adjustment_decided", N_("这项调整已经决定过了，决定只做一次。")


class AlreadyReversed(Conflict):
    """The adjustment is taken back already, or somebody has proposed to."""

    code, text = "already_reversed", N_("这项调整已经收回，或者已有人提出收回。")
    next_step = N_("请到积分调整页面查看。")


class HonourRevoked(Conflict):
    """The honour was revoked, which is final."""

    code, text = "honour_revoked", N_("这项荣誉已经撤销，不能再改。")


class OfferMovedOn(Conflict):
    """The offer was changed, or decided on, after the page was opened."""

    code, text = "offer_moved_on", N_("您打开之后，这项兑换有了变化，请看过最新的内容再做。")


class OfferNotOpen(Conflict):
    """The offer has not begun, is paused, or is over."""

    code, text = "offer_not_open", N_("这项兑换现在不开放。")
    next_step = N_("您的积分没有动。可以看看别的兑换。")


class OfferForOthers(Conflict):
    """The offer is for residents of other communities."""

    code, text = "offer_for_others", N_("这项兑换不面向您所在的社区。")
    next_step = N_("您的积分没有动。可以看看别的兑换。")


class OfferSoldOut(Conflict):
    """Nothing of the offer is left."""

    code, text = "offer_sold_out", N_("已经兑完了。")
    next_step = N_("您的积分没有动。有人取消时会多出来，可以过一会儿再看。")


class OfferLimitReached(Conflict):
    """The resident, with the family that they share, has as many as one may have."""

    code, text = "offer_limit_reached", N_("每人最多兑换 %(limit)s 份，您已经兑满了。")
    next_step = N_("您的积分没有动。家庭账户和监护人算一个人。")


class PoolUsedUp(Conflict):
    """The reward pool that pays for the offer has too little left."""

    code, text = "pool_used_up", N_("这项兑换的预算用完了。")
    next_step = N_("您的积分没有动，照样有效。可以看看别的兑换。")


class VoucherUsed(Conflict):
    """The voucher was settled before."""

    code, text = "voucher_used", N_("这张券已经用过了，时间是 %(moment)s。")
    next_step = N_("请不要再次交付。如果不是本人用的，请本人从投诉与建议里告诉我们。")


class VoucherCancelled(Conflict):
    """The voucher was cancelled; its points are back."""

    code, text = "voucher_cancelled", N_("这张券已经取消，积分退回去了。")
    next_step = N_("请不要交付。居民可以用积分再兑一张。")


class VoucherLapsed(Conflict):
    """The voucher was not used in time; its points are back."""

    code, text = "voucher_lapsed", N_("这张券已经过期，积分退回去了。")
    next_step = N_("请不要交付。居民可以用积分再兑一张。")


class VoucherNotUsed(Conflict):
    """A settlement is to be taken back, and there is none, or it was too long ago."""

    code, text = "voucher_not_used", N_("交付只能在 %(minutes)s 分钟内撤回，现在不能了。")
    next_step = N_("如果弄错了，请联系生态环境局的工作人员。")


class DrawMovedOn(Conflict):
    """The draw is not where that can be done: say, over, cancelled, or not held yet."""

    code, text = "draw_moved_on", N_("这次抽奖的状态已经变了，这一步做不了。")
    next_step = N_("请刷新页面，看看它现在的状态。")


class DrawNotOpen(Conflict):
    """Nobody can enter the draw, or leave it, any more."""

    code, text = "draw_not_open", N_("这次抽奖现在不能参加，也不能退出。")
    next_step = N_("请看看截止时间，或者看看别的抽奖。")


class DrawElsewhere(Conflict):
    """The draw is for residents of other communities."""

    code, text = "draw_elsewhere", N_("这次抽奖只面向举办地的居民。")
    next_step = N_("请看看您所在街镇和社区的抽奖。")


# --- refusals: a scan that cannot be credited -------------------------------------------------------------


class Refused(TanpuhuiError):
    """A scan that cannot be credited.

    `kept`: with the resident's attempts; not what is mended in the form itself, nor a code that nobody issued.
    `limit`: a published limit is reached; its page shows the way to all of them.
    """

    code, status, text = "refused", 422, N_("这次扫码未能记录。")
    next_step = N_("如有疑问，请联系现场工作人员。")
    kept = True
    limit = False


class CodeInvalid(Refused):
    """Not one of our codes: forged, damaged or foreign."""

    code, status, text = "code_invalid", 404, N_("这不是有效的碳普惠码。")
    next_step = N_("请重新扫描现场张贴的二维码，或手动输入码下方的短码。")
    kept = False


class CodeIncomplete(CodeInvalid):
    """Too short, too long, or with characters that no code has: read or typed only in part."""

    code, status, text = "code_incomplete", 422, N_("码不完整，可能漏扫或少输了几位。")
    next_step = N_("请重新扫描，或核对海报上二维码下方的短码（24 位）。")


class CodeVersionUnknown(CodeInvalid):
    """Printed by a version of the platform that this one no longer, or not yet, reads."""

    code, status, text = "code_version_unknown", 410, N_("这张码的版本已停用。")
    next_step = N_("请告知现场工作人员更换新海报。")


class CodeRevoked(Refused):
    """The code was withdrawn."""

    code, status, text = "code_revoked", 410, N_("这张码已停用。")
    next_step = N_("请扫描现场的新海报，或告知工作人员。")


class CodeNotYetValid(Refused):
    """The stated time is before the code existed or became valid."""

    code, text = "before_code", N_("填写的时间早于这张码启用的时间。")
    next_step = N_("请核对时间后再试。")


class CodeExpired(Refused):
    """The code was good for a time that has passed."""

    code, status, text = "code_expired", 410, N_("这张码已过有效期。")
    next_step = N_("请扫描现场正在使用的码。")


class RotatingCodeExpired(CodeExpired):
    """The screen has moved on: the picture of a rotating code is good for a minute at most."""

    code, text = "rotating_code_expired", N_("屏幕上的码已经换了，这张不再有效。")
    next_step = N_("请再扫一次屏幕上正在显示的码。")


class SlipUsed(Refused):
    """The slip, or the receipt of the scale, was used before."""

    code, status, text = "slip_used", 409, N_("这张一次性码已经用过了。")
    next_step = N_("每张只能用一次。如果不是您用的，请告知现场工作人员。")


class MemberCodeHere(Refused):
    """A resident's own code, where the code of a site is asked for."""

    code, text = "member_code_here", N_("这是居民的会员码，不是点位的码。")
    next_step = N_("请把会员码给现场工作人员扫描，或自己扫描现场的海报。")


class GatheringCodeHere(Refused):
    """The check-in code of a gathering, where the code of a site is asked for."""

    code, text = "gathering_code_here", N_("这是现场活动的签到码，不是点位的码。")
    next_step = N_("请用手机相机扫这个码，在打开的页面上签到。")
    kept = False


class VoucherCodeHere(Refused):
    """The code of a voucher, where the code of a site is asked for."""

    code, text = "voucher_code_here", N_("这是兑换券的码，不是点位的码。")
    next_step = N_("请把券给商户，由商户在“兑换台”里扫。")
    kept = False


class NotAVoucher(Refused):
    """The code of a site or a member, where that of a voucher is asked for."""

    code, text = "not_a_voucher", N_("这不是兑换券的码。")
    next_step = N_("请扫居民手机上兑换券的码。")
    kept = False


class NotAMemberCode(Refused):
    """The code of a site, where a resident's own is asked for."""

    code, text = "not_a_member_code", N_("这不是会员码。")
    next_step = N_("请扫描居民手机上或卡上的会员码。")
    kept = False


class CardRevoked(Refused):
    """A member's code that was replaced, or reported lost."""

    code, status, text = "card_revoked", 410, N_("这张会员码已停用。")
    next_step = N_("请用新的会员码；卡丢了可以请工作人员换一张。")


class CardUnused(Refused):
    """A printed card that nobody holds yet."""

    code, status, text = "card_unused", 409, N_("这张卡还没有发给任何人。")
    next_step = N_("请先把卡发给本人，再记录。")
    kept = False


class CardInUse(Refused):
    """A printed card that is no longer blank."""

    code, status, text = "card_in_use", 409, N_("这张卡已经发出或停用，不能再发。")
    next_step = N_("请另取一张空白卡。")
    kept = False


class SiteClosed(Refused):
    """The site is closed for good or for now."""

    code, text = "site_closed", N_("该点位目前未开放。")
    next_step = N_("请换一个点位，或在开放时间再来。")


class SelfReportsClosed(Refused):
    """The district takes no self-reports now."""

    code, status, text = "self_reports_closed", 409, N_("现在不能自报。")
    next_step = N_("本区还没有开放自报，或者暂时关闭了。请到有碳普惠码的点位扫码。")
    kept = False


class PhotoUnreadable(Refused):
    """Not a picture, or not one that every phone and browser knows, or only part of one."""

    code, text = "photo_unreadable", N_("这张照片打不开。")
    next_step = N_(
        "请选 JPEG、PNG 或 WebP 格式的照片。苹果手机的 HEIC 照片：在“设置、相机、格式”里选“兼容性最佳”再拍一张。也可以不附照片。"
    )
    kept = False


class PhotoTooLarge(Refused):
    """More pixels, or more bytes, than any phone's camera makes."""

    code, status, text = "photo_too_large", 413, N_("这张照片太大。")
    next_step = N_("照片最大 8 MB、六千万像素。请用手机普通模式再拍一张，也可以不附照片。")
    kept = False


class PhotoBlank(Refused):
    """Black, blank or of one colour: nobody could tell anything by it."""

    code, text = "photo_blank", N_("这张照片上看不清东西。")
    next_step = N_("请在亮一点的地方再拍一张，也可以不附照片。")
    kept = False


class PhotoSeenBefore(Refused):
    """Nearly the same picture was sent before, by anybody."""

    code, status, text = "photo_seen_before", 409, N_("这张照片和以前有人交过的几乎一样。")
    next_step = N_("每张照片只能用一次。请当场再拍一张，也可以不附照片，照样自报。")
    kept = False


class UnknownKind(Refused):
    """No such kind of action."""

    code, text = "unknown_kind", N_("没有这种绿色行为。")
    next_step = N_("请从页面列出的行为中选择。")
    kept = False


class KindNotHere(Refused):
    """This site does not credit this kind of action."""

    code, text = "kind_not_at_site", N_("这个点位不记录这种行为。")
    next_step = N_("请从页面列出的行为中选择。")


class KindRequired(Refused):
    """The site credits several kinds: one must be named. `kinds` lists them."""

    code, text = "kind_required", N_("请选择要记录的行为。")
    next_step = N_("请从页面列出的行为中选择。")
    kept = False


class KindDisabled(Refused):
    """The district does not credit this kind at present."""

    code, text = "kind_disabled", N_("这种行为目前不参与记录。")
    next_step = N_("请查看其他可以记录的行为。")


class EvidenceTooWeak(Refused):
    """The kind asks for stronger evidence than this code gives."""

    code, text = "evidence_too_weak", N_("这种行为需要工作人员现场确认。")
    next_step = N_("请扫描工作人员现场出示的码。")


class QuantityMissing(Refused):
    """The kind asks for a quantity and none was given."""

    code, text = "quantity_missing", N_("请填写数量（%(unit)s）。")
    next_step = N_("填写后再次提交即可。")
    kept = False


class QuantityNotANumber(Refused):
    """NaN, infinite, or no number."""

    code, text = "quantity_not_a_number", N_("数量不是有效的数字。")
    next_step = N_("请填写数字，例如 2.5。")
    kept = False


class QuantityNotPositive(Refused):
    """Zero or below."""

    code, text = "quantity_not_positive", N_("数量应大于 0。")
    next_step = N_("请核对后重新填写。")
    kept = False


class QuantityTooPrecise(Refused):
    """More decimals or digits than can be recorded exactly."""

    code, text = "quantity_too_precise", N_("数量最多九位整数、三位小数。")
    next_step = N_("请四舍五入后再试。")
    kept = False


class QuantityOutOfRange(Refused):
    """Outside the bounds published with the kind."""

    code, text = "quantity_out_of_range", N_("数量应在 %(minimum)s 到 %(maximum)s %(unit)s之间。")
    next_step = N_("请核对后重新填写。")
    kept = False


class TreesNotWhole(Refused):
    """A part of a tree."""

    code, text = "trees_not_whole", N_("树按整棵数。")
    next_step = N_("请填写整数，例如 3。")
    kept = False


class NoPlantingHere(Refused):
    """Trees cannot be planted by this code, or the kind named is not one of planting."""

    code, text = "no_planting_here", N_("这个点位不登记种树。")
    next_step = N_("请到植树点，扫描工作人员现场出示的码。")


class AlreadyPlanted(Refused):
    """The day's planting at this site was recorded before. `number` is on its certificate."""

    code, status, text = "already_planted", 409, N_("今天在这里种的树已经登记过了，证书编号 %(number)s。")
    next_step = N_("同一天在同一个点位只登记一次，可在“我的”里查看证书。")


class NothingPlanted(Refused):
    """A check of trees by a resident who planted none here."""

    code, text = "nothing_planted", N_("您在这里还没有登记种树。")
    next_step = N_("请先登记今天种下的树，从一年后的同一天起每年来检查一次。")


class CheckTooEarly(Refused):
    """No year of the trees planted here is over yet. `check_on` is the first day of the next check."""

    code, status, text = "check_too_early", 409, N_("下一次成活检查要等到 %(check_on)s。")
    next_step = N_("从这一天起，再来扫描工作人员现场出示的码。")


class MoreTreesThanPlanted(Refused):
    """More trees alive than were planted, or than the last check found. `trees` is the most there can be."""

    code, text = "more_trees_than_planted", N_("成活的树不能多于 %(trees)s 棵，这是种下或上次检查时的棵数。")
    next_step = N_("请数清后重新填写。")
    kept = False


class TimeInFuture(Refused):
    """`occurred_at` lies in the future."""

    code, text = "occurred_in_future", N_("填写的时间在未来。")
    next_step = N_("请核对手机时间后再试。")


class TimeTooOld(Refused):
    """`occurred_at` lies further back than late records are taken."""

    code, text = "occurred_too_long_ago", N_("填写的时间过早，补记只接受 %(hours)s 小时以内的行为。")
    next_step = N_("较早的行为无法补记。")


class DailyLimitReached(Refused):
    """The day's number of records, or its quantity, is used up."""

    code, status, text = "daily_limit_reached", 409, N_("今天的“%(kind)s”记录次数已用完。")
    next_step = N_("明天再来吧，今天的努力已经记下了。")
    limit = True


class DailyQuantityReached(Refused):
    """This record would take the day's quantity over its bound."""

    code, status, text = (
        "daily_quantity_reached",
        409,
        N_("今天“%(kind)s”最多还可记录 %(left)s %(unit)s。"),
    )
    next_step = N_("请减少数量，或明天再来。")
    limit = True


class SiteLimitReached(Refused):
    """The day's number of records that this site credits a resident is used up."""

    code, status, text = "site_limit_reached", 409, N_("今天在这个点位的“%(kind)s”记录次数已用完。")
    next_step = N_("可以换一个点位，或明天再来。")
    limit = True


class WeeklyLimitReached(Refused):
    """The number of records of the week (Monday to Sunday) is used up."""

    code, status, text = "weekly_limit_reached", 409, N_("本周的“%(kind)s”记录次数已用完。")
    next_step = N_("下周一起又可以记录了。")
    limit = True


class WeeklyQuantityReached(Refused):
    """This record would take the quantity of the week (Monday to Sunday) over its bound."""

    code, status, text = (
        "weekly_quantity_reached",
        409,
        N_("本周“%(kind)s”最多还可记录 %(left)s %(unit)s。"),
    )
    next_step = N_("请减少数量，或下周再来。")
    limit = True


class LoadTooLarge(Refused):
    """What is handed in within `minutes` counts as one load, and a load has a largest quantity."""

    code, status, text = (
        "load_too_large",
        409,
        N_("%(minutes)s 分钟内交来的“%(kind)s”算一次，这一次最多还可记录 %(left)s %(unit)s。"),
    )
    next_step = N_("请减少数量，或过一会儿再来。")
    limit = True


class SiteNotOpen(Refused):
    """The site has opening hours, and it happened outside them."""

    code, status, text = "site_not_open", 409, N_("这个点位现在不在开放时间。")
    next_step = N_("请在开放时间再来，或换一个点位。")
    limit = True


class TooSoon(Refused):
    """The smallest interval since the last record of this kind has not passed."""

    code, status, text = "too_soon", 409, N_("距离上一次“%(kind)s”记录时间太近，请 %(minutes)s 分钟后再试。")
    next_step = N_("稍后再扫一次即可。")
    limit = True


class Clash(Refused):
    """The same deed was credited in another way already."""

    code, status, text = "same_deed", 409, N_("这次行为已作为“%(kind)s”记录过。")
    next_step = N_("同一次行为只记录一次。")
    limit = True


class DeedOfFamily(Refused):
    """The same deed was credited to the family account already."""

    code, status, text = "deed_of_family", 409, N_("这次已经记在“%(label)s”名下。")
    next_step = N_("您和家庭账户算一个人，同一次行为只记一次。已有的记录照常有效。")
    limit = True


class DeedOfGuardian(Refused):
    """The same deed was credited to a guardian's own account already."""

    code, status, text = "deed_of_guardian", 409, N_("这次已经记在监护人本人名下。")
    next_step = N_("监护人和家庭账户算一个人，同一次行为只记一次。已有的记录照常有效。")
    limit = True


class CountedTogether(Refused):
    """A limit that would allow one more of this account alone is reached together with those it shares with."""

    code, status, text = (
        "counted_together",
        409,
        N_("“%(kind)s”已经记满：您和家庭账户的次数和数量合在一起算。"),
    )
    next_step = N_("已有的记录照常有效，不用再做什么。")
    limit = True


class NoPhotoHere(Refused):
    """Of classes and families no photo is taken: a child might be on it."""

    code, text = "no_photo_here", N_("班级账户和家庭账户不收照片，以免拍到孩子。")
    next_step = N_("不附照片，照样可以自报。")
    kept = False


class ProvenBetter(Refused):
    """The same deed stands already with stronger evidence."""

    code, status, text = "proven_better", 409, N_("这次行为已作为“%(kind)s”记录过，而且证明更可靠。")
    next_step = N_("已有的记录照常有效，不用再做什么。")


class CannotReplace(Refused):
    """The weaker record of the same deed can no longer be taken back: it was declared, or its points are spent."""

    code, status, text = (
        "cannot_replace",
        409,
        N_("这次行为已经记录过，原来的记录已上报或积分已用掉，不能换成新的。"),
    )
    next_step = N_("原来的记录照常有效，不用再做什么。")


class NoFactor(Refused):
    """No factor version is valid on that day, so nothing could be computed."""

    code, status, text = "no_factor", 409, N_("这种行为暂无可用的减排因子。")
    next_step = N_("我们会尽快补充，请稍后再试。")


class ResidentInactive(Refused):
    """The account was closed."""

    code, status, text = "resident_inactive", 403, N_("该账户已停用。")
    next_step = N_("请联系社区工作人员。")
    kept = False


# --- load and outages --------------------------------------------------------------------------------------


class TooMany(TanpuhuiError):
    """Too many requests; `retry_after` in seconds, which people read as seconds, minutes or hours."""

    code, status, text = "too_many_requests", 429, N_("操作太频繁，请 %(retry_after)s后再试。")
    next_step = N_("稍等一会儿，再点一次就可以。")


class TooManyCodes(TooMany):
    """Too many one-time codes for one number or address."""

    code, text = "too_many_codes", N_("验证码请求太频繁，请 %(retry_after)s后再试。")
    next_step = N_("先看看手机里已收到的短信，最近的验证码 10 分钟内都有效。")


class TooManyReports(TooMany):
    """A resident has said the day's `limit` of words on sites; `retry_after` in seconds."""

    code, text = "too_many_reports", N_("您今天已经报告了 %(limit)s 次，谢谢您，明天再来报告吧。")


class Unavailable(TanpuhuiError):
    """Only time can mend it; the same request, with its key, may be sent again and is never done twice."""

    code, status, text = "unavailable", 503, N_("系统暂时繁忙，请稍后重试；重复提交不会重复记录。")
    next_step = N_("等几秒钟，再点一次就可以。")


class SmsFailed(Unavailable):
    """The gateway did not take the message."""

    code, text = "sms_failed", N_("短信暂时发送失败，请稍后重试。")
    next_step = N_("过一会儿再获取一次。一直收不到的话，请联系社区工作人员。")


class IdentityProviderDown(Unavailable):
    """The identity provider does not answer, or not as it should."""

    code, text = "identity_provider_down", N_("对方的登录服务暂时没有回应。")


class ConfigurationError(TanpuhuiError):
    """The process must not start like this; `problems` lists every reason."""

    code = "configuration"
    text = N_("配置有误：%(problems)s")
    next_step = N_("请改正后再启动。")


def all_errors() -> list[type[TanpuhuiError]]:
    """Every error class, for the documentation and the tests that keep codes unique."""
    found: list[type[TanpuhuiError]] = []
    waiting: list[type[TanpuhuiError]] = [TanpuhuiError]
    while waiting:
        error = waiting.pop()
        found.append(error)
        waiting.extend(error.__subclasses__())
    return sorted(found, key=lambda error: error.code)
